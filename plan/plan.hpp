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
#include "eval/losses.hpp"
#include "hwmodels/cost_model.hpp"
#include "model/network.hpp"
#include "quant/affine.hpp"
#include "quant/choice.hpp"

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
};
struct PlannedActivation {
  Choice choice;
  std::string tensor;
  std::optional<Affine> quantizer;           ///< none when float
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
  std::vector<PlannedLayer> layers;
  std::vector<PlannedProduct> products;
  std::map<std::string, std::string> provenance;   ///< version, seed, trace, and what may differ: ranks, command, times
};

/// Layers of an assignment: names, scales and costs. Quantizes the weights once more. activation_quantizer gives what
/// the evaluator measured with.
std::vector<PlannedLayer> plan_layers(const Network& network, const ChoiceTable& choices, const CostModel& costs,
                                      const Assignment& assignment,
                                      const std::function<Affine(SiteId, ChoiceId)>& activation_quantizer);

/// The operands of products, in the order of the sites.
std::vector<PlannedProduct> plan_products(const Network& network, const ChoiceTable& choices,
                                          const Assignment& assignment,
                                          const std::function<Affine(SiteId, ChoiceId)>& activation_quantizer);

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
  std::vector<Choice> choices() const;
};
/// Reads a plan back. Throws InputError naming file and JSON path on anything missing or wrong.
PlanAssignment read_plan(const std::filesystem::path& file);
/// The assignment on this network: layers by weight name and node, activations by tensor; every layer of the network must be in
/// the plan. `choices` must hold the plan's choices. Throws InputError naming what does not fit.
Assignment assignment_of(const PlanAssignment& plan, const Network& network, ChoiceTable choices);

}  // namespace bitplan
