#include "model/channel_normal.hpp"

#include <cassert>
#include <cmath>

namespace bitplan {

std::optional<ChannelNormal> batch_norm_output(std::span<const float> gain, std::span<const float> beta,
                                               std::span<const float> variance, float epsilon) {
  assert(gain.size() == beta.size() && gain.size() == variance.size());
  ChannelNormal normal;
  for (std::size_t c = 0; c < gain.size(); ++c) {
    const auto v = static_cast<double>(variance[c]), all = v + static_cast<double>(epsilon);
    // A constant channel without epsilon divides 0 by 0.
    const double deviation = v == 0 ? 0 : std::abs(static_cast<double>(gain[c])) * std::sqrt(v / all);
    if (!std::isfinite(deviation) || !std::isfinite(beta[c])) return std::nullopt;
    normal.mean.push_back(beta[c]);
    normal.deviation.push_back(static_cast<float>(deviation));
  }
  return normal;
}

}  // namespace bitplan
