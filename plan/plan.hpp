#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.hpp"
#include "eval/losses/losses.hpp"
#include "eval/rewrites/rewrite.hpp"
#include "hwmodels/cost_model.hpp"
#include "model/network.hpp"
#include "quant/choice.hpp"
#include "quant/site_quantizer.hpp"
#include "quant/weight_quantizer.hpp"

namespace bitplan {

/// Figures of one assignment on one data role: name of the metric → value with its 95 % interval.
using Figures = std::map<std::string, Loss>;
/// Every metric that the sums allow (label-free ones always, the others when there are labels).
Figures figures_of(const LossSums& sums);

/// What a plan says of an assignment beside itself: float, best uniform.
struct Reference {
  std::string name;                          ///< "float", "w4a8"
  Figures selection, holdout;
  std::map<std::string, double> costs;       ///< by metric label, in display units
};

/// One constraint as it ended.
struct ConstraintUse {
  std::string text, metric;
  double limit = 0, used = 0, slack = 0;     ///< display units; slack = limit - used
};

/// The quantized weight of a layer as another tool needs it.
struct PlannedWeight {
  Choice choice;
  std::vector<float> scales;                 ///< empty when float
  std::vector<std::int32_t> zero_points;     ///< integers only; all 0 when symmetric
  std::vector<float> code_book;              ///< levels by part, where a format finds them; value = scale * level
  std::vector<float> offsets;                ///< zero points between codes, in place of zero_points
  std::vector<float> column_scales;          ///< by element of the reduction: value = scale (q - z) / column scale
  std::vector<std::int32_t> float_columns;   ///< elements of the reduction kept in float16
  std::vector<float> bias;                   ///< added to the layer's output
  Shape bias_shape;                          ///< [channels], or by element: the output's shape without the batch
  std::vector<std::int32_t> salient;         ///< columns with two bits (billm): group * columns + column
  std::vector<std::int16_t> codes;           ///< of roundings other than the nearest, and with gain; in the weight's order
};
struct PlannedActivation {
  Choice choice;
  std::string tensor;
  std::optional<SiteQuantizer> quantizer;    ///< none when float
};

/// An operand of products of two computed tensors (attention), when the experiment makes these sites.
struct PlannedProduct {
  std::vector<std::string> nodes;            ///< the products that read it
  PlannedActivation activation;
};

struct PlannedLayer {
  LayerId id = 0;
  std::string op;
  LayerNames names;
  Shape weight_shape;
  int axis = 0;                              ///< of the channel scales
  bool folded_batch_norm = false;            ///< the scales belong to the folded weight
  PlannedWeight weight;
  std::optional<PlannedActivation> activation;   ///< none for embeddings
  std::map<std::string, double> costs;       ///< additive metrics, in display units (bits: of this layer)
};

/// The deliverable (DESIGN §7.1): an assignment with names, scales, measured loss, predicted cost, provenance.
struct Plan {
  std::string name, model_file, model_sha256, producer;
  int opset = 0;
  std::string objective;                     ///< "minimize kl"
  std::map<std::string, std::string> data;   ///< role → fingerprint
  std::vector<ConstraintUse> constraints;
  std::string kind;                          ///< "mixed" or "uniform": what the guard returned
  std::string stage;                         ///< who found it
  Figures selection, holdout;
  std::map<std::string, double> costs;
  std::vector<Reference> references;
  std::vector<std::string> finish;           ///< final passes that were kept: "asymmetric", "bias:element"
  std::vector<RewriteRecord> rewrites;       ///< of the model's weights, to which scales and codes belong
  std::vector<PlannedLayer> layers;
  std::vector<PlannedProduct> products;
  std::map<std::string, std::string> provenance;   ///< version, seed, trace, and what may differ: ranks, command, times
};

/// What the evaluator measured with.
struct PlanSource {
  std::function<SiteQuantizer(SiteId, ChoiceId)> activation_quantizer;
  std::function<QuantizedWeight(LayerId, ChoiceId)> quantized_weight;
};

/// Layers of an assignment: names, scales and costs.
std::vector<PlannedLayer> plan_layers(const Network& network, const ChoiceTable& choices, const CostModel& costs,
                                      const Assignment& assignment, const PlanSource& source);

/// The operands of products, in the order of the sites.
std::vector<PlannedProduct> plan_products(const Network& network, const ChoiceTable& choices,
                                          const Assignment& assignment,
                                          const std::function<SiteQuantizer(SiteId, ChoiceId)>& activation_quantizer);

/// Writes `file` (plan.json) and, when arrays of more than 64 numbers occur, the .npz beside it. Replaces in one step.
void write_plan(const std::filesystem::path& file, const Plan& plan);

/// What is needed to measure a plan again.
struct PlanAssignment {
  struct Row {
    LayerNames names;
    Choice weight;
    std::string tensor;                      ///< of the activation, empty for embeddings
    std::optional<Choice> activation;
  };
  std::string file, model_sha256;
  struct Product {
    std::string tensor;
    Choice choice;
  };
  std::vector<Row> rows;
  std::vector<Product> products;
  std::vector<std::string> rewrites;         ///< by their texts
  std::vector<std::string> finish;           ///< final passes
  std::vector<Choice> choices() const;
};
/// Reads a plan back. Throws InputError naming file and JSON path on anything missing or wrong.
PlanAssignment read_plan(const std::filesystem::path& file);
/// The assignment on this network: layers by weight name and node, activations by tensor; every layer of the network must be in
/// the plan. `choices` must hold the plan's choices. Throws InputError naming what does not fit.
Assignment assignment_of(const PlanAssignment& plan, const Network& network, ChoiceTable choices);

}  // namespace bitplan
