#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace bitplan {

/// Second moments of one layer's inputs over data. Rows are positions: tokens of a linear layer, patches of a
/// convolution. Of a grouped convolution each group has moments of its own (the whole is block-diagonal).
struct LayerMoments {
  std::int64_t groups = 1;
  std::int64_t columns = 0;  ///< the reduction of an output channel, in the order of WeightView (outer, then inner)
  std::int64_t rows = 0;     ///< positions seen
  // By group; xq are the inputs in the quantized network, x in the float one, the same where there is no candidate.
  std::vector<std::vector<float>> gram;                ///< E xq xq^T [columns, columns]
  std::vector<std::vector<float>> cross;               ///< E xq x^T; empty without a candidate
  std::vector<std::vector<float>> mean, float_mean;    ///< E xq, E x [columns]
  std::vector<std::vector<float>> abs_mean, abs_max;   ///< of x [columns]
  /// Where a few tokens have most of the energy, gram, cross and means with weights of the tokens
  /// (quant/moments/token_weights.hpp); else null.
  std::shared_ptr<const LayerMoments> weighted{};
  std::size_t bytes() const;
};

}  // namespace bitplan
