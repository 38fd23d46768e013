#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "model/network.hpp"

namespace bitplan {

/// clamp(n, low, high) of a normal n: what Relu and Clip make of a batch normalisation's output.
struct ClampedNormal {
  double mean = 0, deviation = 0;
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  double expected() const;
  double variance() const;
};

/// What is known of an activation without data: the distribution of each channel (axis 1), over samples and positions.
struct ChannelStatistics {
  std::vector<ClampedNormal> channels;  ///< empty: nothing is known
  bool mean_only = false;               ///< behind a pooling, which leaves the mean alone: deviations do not count
  std::string unknown;                  ///< why nothing is known, as in "'pool_out' is made by MaxPool"
};

/// Statistics of every activation, by TensorId, from the parameters of batch normalisations (model/channel_normal.hpp,
/// folded ones by TensorInfo::normal), in one pass over the nodes. What carries them on:
///
///   Relu, Clip, Min and Max with constants   clamp n (behind a sum, the normal it is taken for)
///   Add and Mul with constants by channel    shift and scale n, low and high
///   Add of two activations                   a normal with the sum of means and of variances. Both are taken for
///                                            independent and their sum for normal (Nagel et al. 2019, of residuals)
///   Concat along the channels                channel by channel
///   Identity, Dropout, Slice of positions    as it is
///   Pad of channels with a constant          new channels of that value (residual sums without projections)
///   AveragePool, GlobalAveragePool, ReduceMean over positions     the mean stays, the deviation is no longer known
///   Flatten, Reshape, Squeeze, Unsqueeze     while channels stay axis 1, or become that axis with their positions
///
/// Inputs of the network and all that another operator makes are not known. O(nodes * channels).
std::vector<ChannelStatistics> channel_statistics(const Network& network);

}  // namespace bitplan
