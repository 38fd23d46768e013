#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitplan {

/// Sums over some samples from which every loss follows. Adding two in index order is the only way they are combined,
/// so a total does not depend on how samples were cut between threads and ranks (chunks are added one by one).
///
/// With z = float logits (reference), y = candidate logits of one position, C classes (or elements of the first
/// output):
///   kl      = sum_c p_c (log p_c - log q_c),  p = softmax(z), q = softmax(y), natural logarithm
///   jsd     = (KL(p || m) + KL(q || m)) / 2,  m = (p + q) / 2: Lin 1991, from 0 to log 2
///   mse     = mean_c (y_c - z_c)^2            signal = sum_c z_c^2, noise = sum_c (y_c - z_c)^2
///   cosine  = <y, z> / (|y| |z|)              1 when both are zero, 0 when one is
///   top1, top5  the label is among the 1 or 5 largest (ties: the smaller index is larger)
///   nll     = log sum_c exp(y_c) - y_label
/// All in double from float32 logits (losses_rows.hpp). kl and jsd of one sample are not clamped: equal logits give
/// exactly 0, and rounding may leave a value of about -1e-15 where the truth is 0.
///
/// A sample has one position (a classifier's [C]) or T of them (a language model's window [T, C]). A sample's figure is
/// the mean over its positions (nll, top1, top5: over those with a label), so the samples of an interval are windows,
/// not the tokens in them, which depend on each other. kl, jsd, top1, top5, nll and agreement mean something only when
/// the elements are classes (Metric::needs_classes); without classes `positions` is 0.
struct LossSums {
  std::int64_t samples = 0;
  std::int64_t invalid = 0;                          ///< samples with a NaN or infinite output
  std::int64_t positions = 0;                        ///< of the valid samples; 0: the outputs are no classes
  std::int64_t labelled = 0;                         ///< samples with a label
  std::int64_t predictions = 0, top1 = 0, top5 = 0;  ///< positions with a label, and how many of them were right
  std::int64_t agree = 0;                            ///< positions whose largest class is the reference's
  double kl = 0, kl2 = 0;                            ///< sum and sum of squares over samples
  double jsd = 0, jsd2 = 0;
  double mse = 0, mse2 = 0;
  double cosine = 0, cosine2 = 0;
  double nll = 0, nll2 = 0;
  double top1_2 = 0, top5_2 = 0, agree2 = 0;  ///< sums of squares of each sample's fraction
  double signal = 0, noise = 0;

  void add(const LossSums& later);
  bool operator==(const LossSums&) const = default;
};

/// Adds one sample: positions of `classes` logits each, row-major [T, classes], equally many of both. labels: one a
/// position, negative for none; or empty. A sample whose reference or output has a NaN or an infinite element counts in
/// samples and invalid only. O(elements).
void add_sample(LossSums& sums, std::span<const float> reference, std::span<const float> output, std::size_t classes,
                std::span<const std::int64_t> labels);
/// The same for one position. label < 0: none.
void add_sample(LossSums& sums, std::span<const float> reference, std::span<const float> output, std::int64_t label);
/// The same for outputs whose elements are no classes: mse, cosine, signal and noise only.
void add_values(LossSums& sums, std::span<const float> reference, std::span<const float> output);

/// One figure with its 95 % interval over samples, z = 1.959964, n samples:
///   means (kl, jsd, mse, cosine, nll)  mean +- z s / sqrt(n), s^2 the unbiased variance; unbounded for n = 1
///   rates (top1, top5, agreement) of one position a sample: Wilson 1927, for k of n:
///                                 (k + z^2/2 +- z sqrt(k (n - k) / n + z^2/4)) / (n + z^2)
///                                 of several: k / n with the interval of a mean of the samples' fractions, in 0 ... 1
///   perplexity                    exp of nll and of the ends of its interval
///   sqnr_db                       10 log10(signal / noise), within -200 ... 200 so that no noise stays a finite
///   figure;
///                                 +- z 10/ln(10) s_mse / (mean_mse sqrt(n)), the delta method on the noise. The signal
///                                 counts as known: it is the float network's, the same for every candidate.
/// NaN in all three when any sample was invalid, or when there is none (none with a label).
struct Loss {
  double value = 0, low = 0, high = 0;
};

/// A loss that an experiment may name as its objective.
struct Metric {
  std::string_view name, summary;
  bool minimize;  ///< top1, top5, cosine, sqnr_db are maximized
  bool needs_labels;
  bool needs_classes;   ///< the first output must be [N, C] or [N, T, C]
  bool needs_sequence;  ///< it must be [N, T, C]
  Loss (*value)(const LossSums&);
};
/// kl, jsd, mse, sqnr_db, cosine, top1 (fraction 0…1), top5, nll, perplexity, agreement.
std::span<const Metric> metrics();
/// Throws InputError listing the known names.
const Metric& find_metric(std::string_view name);

/// The objective as a loss (lower is better; negated when maximized), rounded to the grid on which losses are compared:
/// 20 bits of mantissa (relative 1e-6). NaN when any sample was invalid or there are none.
double objective_loss(const Metric& metric, const LossSums& sums);
double round_to_grid(double loss);

}  // namespace bitplan
