#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "quant/layer_error.hpp"
#include "quant/moments/input_moments.hpp"
#include "quant/roundings/rounding_problem.hpp"

namespace bitplan {

/// A layer as its roundings see it: a row for each channel, and second moments of the inputs for the rows of each group
/// of a grouped convolution.
struct LayerRows {
  std::vector<float> weights;  ///< [groups * rows, columns]
  std::int64_t groups = 1, rows = 0, columns = 0;
  std::shared_ptr<const LayerMoments> moments;  ///< null: nothing is known
  bool centred = false;                         ///< the moments are about the means (centred_moments.hpp)
  int threads = 0;                              ///< results do not depend on it
  const std::atomic<bool>* stop = nullptr;      ///< when it becomes true, long roundings throw Interrupted

  static LayerRows of(const LayerWeight& weight, std::shared_ptr<const LayerMoments> moments, bool centred);

  /// The rows of one group, of all rows [groups * rows, columns].
  std::span<const float> of_group(const std::vector<float>& all, std::int64_t group) const;
  /// A group's rows with its moments. The grid has one part a row, and its scales mean nothing.
  RoundingProblem problem(std::int64_t group) const;
  /// The same by which tokens of huge energy count no more than others; moments->weighted must be there.
  RoundingProblem weighted_problem(std::int64_t group) const;
  /// E x^2 by column; the mean of all groups for a negative one.
  std::vector<float> energies(std::int64_t group) const;

  /// What is added to G for a method's use, of the mean of its diagonal: min(1, columns / positions).
  double share() const;
  struct Shrunk {
    std::vector<float> gram, cross;  ///< cross: empty where there is none
  };
  /// G and C of a group (weighted ones where there are) and what is added to both: the drift stays. Of moments about
  /// the means the share is that of the moments about 0, and a mean that few positions have given is trusted as little.
  Shrunk shrunk(std::int64_t group) const;

  /// This, with weights and inputs of 0 in some columns: nothing may be made up for by what is not kept.
  LayerRows without(const std::vector<std::int32_t>& float_columns) const;
  /// This, with columns multiplied by the scales and inputs divided by them.
  LayerRows scaled(const std::vector<float>& scales) const;
};

}  // namespace bitplan
