#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/dataset.hpp"
#include "eval/executor.hpp"
#include "eval/losses.hpp"
#include "quant/choice.hpp"
#include "quant/observer.hpp"
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
  std::size_t cache_bytes = std::size_t{2} << 30;  ///< packed quantized weights kept for reuse
};

/// Measures assignments on real data: one per rank. Calibrates at construction (float run over the calibration data,
/// one observer an activation site), keeps the float network's outputs of each chunk it has seen, and memoizes
/// quantized packed weights by (layer, choice) within cache_bytes (least recently used go first). Chunks are spread
/// over threads, one whole forward pass each; the sums of each chunk come back in chunk order. They are the same to the
/// bit for any number of threads and any cut into ranges. Prepared inputs are kept up to 1 GiB a role. The last chunk
/// is padded by repeating its last sample; neither losses nor observers see the padding (but see notes()).
///
/// A sample's losses come from the network's first output, flattened. kl, top1, top5, nll and agreement need class
/// logits [N, C] (or [N, C, 1, 1]); for other outputs refusal() says why not.
///
/// Throws InputError: data that do not open, fit or read; NaN or infinite outputs or activations of the float network;
/// an activation choice that is not per tensor; a role that was not given (DataSpec without kind).
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
  std::vector<LossSums> measure(const Assignment& assignment, Role role, ChunkRange range,
                                const std::atomic<bool>* stop = nullptr);

  /// The quantizer that a site's activation gets, and the quantized weight of a layer, as measured with: for the plan.
  Affine activation_quantizer(SiteId site, ChoiceId choice) const;
  QuantizedWeight quantized_weight(LayerId layer, ChoiceId choice) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitplan
