#pragma once

#include <cstdint>
#include <optional>

#include "model/network.hpp"

namespace bitplan {

/// An activation [outer, channels, inner], row-major: `inner` is the product of the dimensions behind `axis`.
struct SiteChannels {
  int axis = 0;
  std::int64_t channels = 1, inner = 1;
  bool operator==(const SiteChannels&) const = default;
};

/// The channels of an activation site as its readers see them: axis 1 of what Conv and ConvTranspose read, the axis
/// that Gemm and MatMul with a constant sum over (the last one, unless the activation is transposed or stands on the
/// right), the last one of what products of two computed tensors read. Nothing when readers differ or there is no axis.
std::optional<SiteChannels> find_site_channels(const Network& network, SiteId site);

/// The same; throws InputError that names the readers which differ.
SiteChannels site_channels(const Network& network, SiteId site);

}  // namespace bitplan
