#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/data/dataset.hpp"
#include "eval/executor/arithmetic.hpp"
#include "eval/executor/executor.hpp"
#include "eval/executor/prefix_cache.hpp"
#include "eval/finish.hpp"
#include "eval/losses/losses.hpp"
#include "quant/choice.hpp"
#include "quant/observers/observer.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// The three separate uses of data (DESIGN §1).
enum class Role : std::uint8_t { calibration, selection, holdout };
std::string_view name_of(Role role);

/// A part of a data role: chunks first … first + count - 1, each of network.batch samples (the last may be shorter).
struct ChunkRange {
  int first = 0, count = 0;
};

struct EvaluatorSpec {
  DataSpec calibration, selection, holdout;
  ObserverSpec observer;  ///< of all activation sites
  int threads = 0;
  Arithmetic arithmetic = Arithmetic::automatic;
  /// Half of it for packed quantized weights, half for activations where later candidates may begin; 0: neither is
  /// kept.
  std::size_t cache_bytes = std::size_t{2} << 30;
  std::size_t reference_bytes = std::size_t{1} << 30;  ///< outputs of the float network kept, all roles together
  std::filesystem::path prepared;                      ///< folder of prepared weights (eval/prepared_weights.hpp), or empty
};

/// Measures assignments on real data: one per rank. Calibrates at construction (float run over the calibration data,
/// one observer an activation site), keeps outputs of the float network within reference_bytes (beyond them it runs the
/// float network again, with the same result to the bit), and memoizes
/// quantized packed weights by (layer, choice) within half of cache_bytes (least recently used go first). A candidate
/// that equals others up to some layer begins there (eval/executor/prefix_cache.hpp, the other half). Chunks are spread
/// over threads, one whole forward pass each; the sums of each chunk come back in chunk order. They are the same to the
/// bit for any number of threads and any cut into ranges. Prepared inputs are kept up to 1 GiB a role. The last chunk
/// is padded by repeating its last sample; neither losses nor observers see the padding (but see notes()).
///
/// A sample's losses come from the network's first output. Of class logits [N, C] (or [N, C, 1, 1]) a sample has one
/// position, of [N, T, C] it has T, and its losses are the means over them (losses.hpp); top1, top5, nll and perplexity
/// need a label for each position (negative: none). Other outputs are flattened and have mse, sqnr_db and cosine only;
/// refusal() says why not more.
///
/// Throws InputError: data that do not open, fit or read; NaN or infinite outputs or activations of the float network;
/// a weight's choice for an activation, one by channel where there are none; a role that was not given (no kind).
class Evaluator {
 public:
  Evaluator(std::shared_ptr<const Network> network, std::shared_ptr<const ChoiceTable> choices,
            const EvaluatorSpec& spec);
  ~Evaluator();

  int chunks(Role role) const;
  std::int64_t samples(Role role) const;
  bool has_labels(Role role) const;
  /// Why `metric` cannot be measured on a role (no labels, outputs that are no classes); nothing when it can.
  std::optional<std::string> refusal(const Metric& metric, Role role) const;
  /// What a user should know of the calibration.
  const std::vector<std::string>& notes() const;
  /// Hash of the data of a role, for the plan and for resume.
  std::string data_fingerprint(Role role) const;

  /// The sums of each chunk of the range, in order. Stops between chunks and throws Interrupted when *stop becomes
  /// true. One call at a time runs; others wait.
  /// `finished`: what differs from the assignment.
  std::vector<LossSums> measure(const Assignment& assignment, Role role, ChunkRange range,
                                const std::atomic<bool>* stop = nullptr, const Finish* finished = nullptr);
  /// A final pass over an assignment, on the calibration data (eval/finish.hpp).
  Finish finish(const Assignment& assignment, const FinishSpec& spec, const std::atomic<bool>* stop = nullptr);

  /// Makes the weight of a site under a choice, where that is not done when it is needed (Choice::is_prepared).
  void prepare(SiteId site, ChoiceId choice, const std::atomic<bool>* stop = nullptr);

  /// The quantizer that a site's activation gets, and the quantized weight of a layer, as measured with: for the plan.
  Affine activation_quantizer(SiteId site, ChoiceId choice) const;  ///< of a choice per tensor without outliers
  SiteQuantizer site_quantizer(SiteId site, ChoiceId choice) const;  ///< of any that is not float
  QuantizedWeight quantized_weight(LayerId layer, ChoiceId choice) const;  ///< nothing in it when float

  /// How often a run began where an earlier one was, for `bench` and tests.
  PrefixCache::Counts prefix_counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitplan
