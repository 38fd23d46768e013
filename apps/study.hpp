#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/experiment.hpp"
#include "hwmodels/cost_model.hpp"
#include "search/constraints.hpp"
#include "search/searcher.hpp"
#include "search/space.hpp"

namespace bitplan {

/// An experiment with all that follows from it before anything is measured: the network, the space, the cost of every
/// choice, the limits. The same on every rank.
struct Study {
  Experiment experiment;
  std::shared_ptr<const Network> network;  ///< rewritten as model.rewrites says
  std::vector<RewriteRecord> rewrites;     ///< what was done to it, for the plan
  std::shared_ptr<const ChoiceTable> choices;
  Space space;
  Assignment uniform8;                    ///< all weights and activations int8: what percentages refer to
  Assignment requested;                   ///< the uniform assignment asked for with --uniform, else empty
  std::shared_ptr<const CostModel> costs;
  std::vector<Constraint> constraints;

  Problem problem(const Archive& archive) const;
  /// Calibrates and checks that the objective can be measured (labels, classes). Throws InputError at its place.
  /// `prepared`: the folder of prepared weights, or empty.
  std::shared_ptr<Evaluator> make_evaluator(const std::filesystem::path& prepared = {}) const;
  /// One that knows the choices of `assignment` alone, so that it reads, refuses and notes what they need and no more;
  /// and the assignment in its numbers of choices.
  std::pair<std::shared_ptr<Evaluator>, Assignment> make_evaluator_of(const Assignment& assignment,
                                                                      const std::filesystem::path& prepared) const;
  /// The folder of prepared weights that a search of this experiment left, if there is one; else empty.
  std::filesystem::path prepared_weights() const;

 private:
  std::shared_ptr<Evaluator> evaluator_with(std::shared_ptr<const ChoiceTable> known,
                                            const std::filesystem::path& prepared) const;
};

/// Imports the model and builds the rest. `uniform`: text of a uniform assignment whose choices are needed too ("w4a8",
/// "float"), or empty; `plan_choices`: labels of choices of a plan. Throws InputError.
Study make_study(Experiment experiment, const std::string& uniform = {}, const std::vector<Choice>& plan_choices = {});

}  // namespace bitplan
