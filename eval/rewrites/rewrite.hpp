#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/yaml.hpp"
#include "eval/data/dataset.hpp"
#include "model/network.hpp"

namespace bitplan {

/// A rewrite changes constants of a network so that it is easier to quantize and computes the same: a factor s > 0 for
/// each channel of an activation moves from where the activation is made to where it is read, x_j / s_j behind
/// w_j s_j. One item of `model.rewrites`: a name, or {name: {parameter: value}}.
struct RewriteSpec {
  std::string kind;
  std::map<std::string, double> parameters;  ///< all that the kind has
  std::string place;                         ///< where it stands, for messages

  /// "smoothquant (alpha 0.5)": equal texts are equal rewrites.
  std::string text() const;
};

/// One activation whose channels were divided by `factors`.
struct RewriteFold {
  std::string tensor;                  ///< the activation that layers read
  std::vector<std::string> from;       ///< nodes whose constants were divided: a layer and its bias, a norm
  std::vector<std::string> constants;  ///< and these constants by name, each along its channels
  std::vector<std::string> caps;       ///< Clip nodes that became Relu and min(x, cap / factor) by channel
  std::vector<LayerId> to;             ///< layers whose weights were multiplied along their input channels
  std::vector<float> factors;
  std::string inserted{};  ///< the Mul node that divides, where nothing could absorb the factors (`insert: true`)
};

/// What a rewrite did, for the plan: other tools get the rewritten weights from the model's own by the folds in turn.
struct RewriteRecord {
  RewriteSpec spec;
  std::vector<RewriteFold> folds;
};

struct Rewritten {
  std::shared_ptr<const Network> network;  ///< with `lines` among its notes
  std::vector<RewriteRecord> records;
  /// One a rewrite: what was done, and how far the float outputs moved; then what could not be folded, by reason.
  std::vector<std::string> lines;
};

/// Applies the rewrites in turn to copies of the network. Layers, sites and their ids and names stay; a Clip that gets
/// a bound for each channel becomes two nodes, so ids of nodes may move. After each rewrite the float outputs of the
/// first calibration chunk are compared with those of the given network. Statistics of activations come from the
/// calibration data, summed in the order of the chunks: the same to the bit for any number of threads.
///
/// Throws InputError naming the rewrite: outputs that differ by more than 1e-4 of the largest one, weights or
/// activations that are not finite, data that do not open.
Rewritten rewrite_network(std::shared_ptr<const Network> network, std::span<const RewriteSpec> specs,
                          const DataSpec& calibration, int threads);

/// Reads the list; unknown names, parameters and values out of range are errors with their place.
std::vector<RewriteSpec> read_rewrites(const Yaml& list);

struct RewriteParameter {
  std::string_view name;
  double fallback, low, high;
  enum class Kind { number, whole, flag } kind = Kind::number;
};

struct RewriteJob;

/// A kind of rewrite: one file eval/rewrites/rewrite_<name>.cpp and one row in eval/rewrites/rewrite.cpp.
struct RewriteKind {
  std::string_view name, summary;
  std::vector<RewriteParameter> parameters;
  void (*apply)(RewriteJob& job);
};
std::span<const RewriteKind> rewrites();
/// Null when there is none.
const RewriteKind* find_rewrite(std::string_view name);

}  // namespace bitplan
