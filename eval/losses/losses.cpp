#include "eval/losses/losses.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "eval/losses/losses_rows.hpp"

namespace bitplan {
namespace {

/// The figures of one sample so far.
struct SampleFigures {
  bool finite = true;
  double kl = 0, jsd = 0, nll = 0;
  std::int64_t positions = 0, predictions = 0, top1 = 0, top5 = 0, agree = 0;
  double zz = 0, yy = 0, zy = 0, noise = 0;

  void add(const RowFigures& row) {
    finite = finite && row.finite;
    zz += row.zz, yy += row.yy, zy += row.zy, noise += row.noise;
    kl += row.kl, jsd += row.jsd;
  }
};

void add_square(double& sum, double& sum2, double value) {
  sum += value;
  sum2 += value * value;
}

double square(double value) { return value * value; }

void add_distances(LossSums& sums, const SampleFigures& s, std::size_t elements) {
  const double cosine = s.zz == 0 && s.yy == 0   ? 1
                        : s.zz == 0 || s.yy == 0 ? 0
                                                 : s.zy / (std::sqrt(s.zz) * std::sqrt(s.yy));
  add_square(sums.mse, sums.mse2, s.noise / static_cast<double>(elements));
  add_square(sums.cosine, sums.cosine2, cosine);
  sums.signal += s.zz;
  sums.noise += s.noise;
}

void add_label(SampleFigures& s, const RowFigures& row, double logit) {
  ++s.predictions;
  s.top1 += row.rank < 1 ? 1 : 0;
  s.top5 += row.rank < 5 ? 1 : 0;
  s.nll += row.log_sum_y - logit;
}

void add_classes(LossSums& sums, const SampleFigures& s) {
  const auto positions = static_cast<double>(s.positions), predictions = static_cast<double>(s.predictions);
  sums.positions += s.positions;
  add_square(sums.kl, sums.kl2, s.kl / positions);
  add_square(sums.jsd, sums.jsd2, s.jsd / positions);
  sums.agree += s.agree;
  sums.agree2 += square(static_cast<double>(s.agree) / positions);
  if (s.predictions == 0) return;
  ++sums.labelled;
  sums.predictions += s.predictions;
  sums.top1 += s.top1;
  sums.top5 += s.top5;
  sums.top1_2 += square(static_cast<double>(s.top1) / predictions);
  sums.top5_2 += square(static_cast<double>(s.top5) / predictions);
  add_square(sums.nll, sums.nll2, s.nll / predictions);
}

}  // namespace

void LossSums::add(const LossSums& later) {
  samples += later.samples;
  invalid += later.invalid;
  positions += later.positions;
  labelled += later.labelled;
  predictions += later.predictions;
  top1 += later.top1;
  top5 += later.top5;
  agree += later.agree;
  kl += later.kl;
  kl2 += later.kl2;
  jsd += later.jsd;
  jsd2 += later.jsd2;
  mse += later.mse;
  mse2 += later.mse2;
  cosine += later.cosine;
  cosine2 += later.cosine2;
  nll += later.nll;
  nll2 += later.nll2;
  top1_2 += later.top1_2;
  top5_2 += later.top5_2;
  agree2 += later.agree2;
  signal += later.signal;
  noise += later.noise;
}

void add_values(LossSums& sums, std::span<const float> reference, std::span<const float> output) {
  assert(!output.empty() && reference.size() == output.size());
  SampleFigures sample;
  sample.add(compare_values(reference.data(), output.data(), output.size(), best_isa()));
  ++sums.samples;
  sums.invalid += sample.finite ? 0 : 1;
  if (sample.finite) add_distances(sums, sample, output.size());
}

void add_sample(LossSums& sums, std::span<const float> reference, std::span<const float> output, std::size_t classes,
                std::span<const std::int64_t> labels) {
  assert(!output.empty() && reference.size() == output.size() && output.size() % classes == 0);
  static thread_local RowScratch scratch;
  SampleFigures sample;
  sample.positions = static_cast<std::int64_t>(output.size() / classes);
  assert(labels.empty() || std::ssize(labels) == sample.positions);
  for (std::size_t t = 0; sample.finite && t < output.size() / classes; ++t) {
    const auto z = reference.subspan(t * classes, classes), y = output.subspan(t * classes, classes);
    const std::int64_t label = labels.empty() ? -1 : labels[t];
    const auto row = compare_classes(z.data(), y.data(), classes, label, scratch, best_isa());
    sample.add(row);
    if (!row.finite) break;
    sample.agree += row.agrees ? 1 : 0;
    if (label >= 0) add_label(sample, row, y[static_cast<std::size_t>(label)]);
  }
  ++sums.samples;
  sums.invalid += sample.finite ? 0 : 1;
  if (!sample.finite) return;
  add_distances(sums, sample, output.size());
  add_classes(sums, sample);
}

void add_sample(LossSums& sums, std::span<const float> reference, std::span<const float> output, std::int64_t label) {
  assert(label < static_cast<std::int64_t>(output.size()));
  add_sample(sums, reference, output, output.size(), std::span(&label, 1));
}

double round_to_grid(double loss) {
  if (!std::isfinite(loss)) return loss;
  int exponent = 0;
  const double mantissa = std::frexp(loss, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, 20)), exponent - 20);
}

double objective_loss(const Metric& metric, const LossSums& sums) {
  const double value = metric.value(sums).value;
  // 0 - value, so that a maximized 0 is 0 and not -0.
  return round_to_grid(metric.minimize ? value : 0 - value);
}

}  // namespace bitplan
