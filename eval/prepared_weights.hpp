#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"
#include "eval/moments/expected_inputs.hpp"
#include "eval/moments/layer_moments.hpp"
#include "quant/choice.hpp"
#include "quant/moments/input_moments.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// Weights under choices that need more than the weight or long computing (Choice::is_prepared): made once, kept in
/// files `DIR/<hash>.npz` by whoever makes them first and read by everybody who sees the folder; without a folder, and
/// where a file is missing or damaged, made again, with the same result to the bit. What names a file: the model, the
/// weight, the calibration data, the choice.
///
/// A weight's moments come from the inputs of its first layer that has any, in the float network; at most
/// max(8 k, 32768) positions of its k-element rows are looked at. Moments of several layers, as many as take 128 MiB
/// together, are gathered in one pass over the data. They and the results are kept besides, the most recently used up
/// to 256 MiB each. Layers without moments (embeddings, transposed convolutions, constant left operands) are quantized
/// without what needs them (notes_on_inputs), those of layers whose inputs have no known statistics without an
/// analytic bias (notes_on_statistics). Weights that several layers share get no bias. One caller at a time.
class PreparedWeights {
 public:
  /// `calibration` may be null: choices that need data are an error then. Folder empty: none.
  PreparedWeights(const Executor& executor, ChunkedData* calibration, std::filesystem::path folder);

  /// Changes when the same choice would give another weight.
  static std::string_view version();

  using Weight = std::shared_ptr<const QuantizedWeight>;
  /// The site's weight, as its first layer sees it. Throws Interrupted when *stop becomes true, InputError naming the
  /// layer when it cannot be quantized.
  Weight get(SiteId site, const Choice& choice, std::span<Executor::WorkspacePtr> workspaces,
             const std::atomic<bool>* stop = nullptr);

 private:
  using Moments = std::shared_ptr<const LayerMoments>;
  using Key = std::pair<SiteId, std::string>;  ///< label of the choice
  template <class Value>
  struct Kept {
    std::list<std::pair<Key, Value>> entries;  ///< the most recently used first
    std::size_t bytes = 0;
    Value* find(const Key& key);
    void keep(const Key& key, const Value& value);
  };

  Moments moments(SiteId site, std::span<Executor::WorkspacePtr> workspaces);
  /// E x of the site's layer without data; empty: not known.
  std::vector<float> expected(SiteId site) const;
  QuantizedWeight make(SiteId site, const Choice& choice, std::span<Executor::WorkspacePtr> workspaces,
                       const std::atomic<bool>* stop);
  std::filesystem::path file_of(SiteId site, const Choice& choice) const;

  const Executor& executor_;
  ChunkedData* calibration_;
  std::filesystem::path folder_;
  std::string fingerprint_;  ///< of model and calibration data
  mutable std::optional<ExpectedInputs> statistics_;  ///< made when a choice first asks
  Kept<Weight> weights_;
  Kept<Moments> moments_;                            ///< by first layer with such inputs
  std::vector<std::vector<MomentsRequest>> passes_;  ///< all layers that have moments, cut by memory
};

/// `choice` without what needs the layer's inputs.
Choice without_data(const Choice& choice);

/// What a user should know when weights of the network have no such inputs and the table has choices that need them.
std::vector<std::string> notes_on_inputs(const Network& network, const ChoiceTable& choices);

/// A quantized weight as one .npz, and back; nothing when the file is missing and, with a warning, when it is damaged
/// or has not the numbers of a weight of this view under this choice.
void write_weight(const std::filesystem::path& file, const QuantizedWeight& weight);
std::optional<QuantizedWeight> read_weight(const std::filesystem::path& file, const WeightView& view,
                                           const Choice& choice);

}  // namespace bitplan
