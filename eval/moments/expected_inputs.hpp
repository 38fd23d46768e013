#pragma once

#include <string>
#include <vector>

#include "eval/moments/channel_statistics.hpp"
#include "model/network.hpp"
#include "quant/choice.hpp"

namespace bitplan {

/// E x of layers' inputs without data, for analytic bias correction: Nagel et al. 2019, arXiv:1906.04721 (DFQ), section
/// 4.2. With w' the quantized weight the mean of output channel o moves by sum_ck (w' - w)_ock E x_ck, so
///
///   b_o = sum_c sum_k (w - w')_ock E[x_c] f_k
///
/// is added to the bias. E[x_c] comes from channel_statistics.hpp; f_k is the share of output positions at which kernel
/// position k is inside the image (the paper takes 1, as if padding were not 0; what is padded has mean 0).
class ExpectedInputs {
 public:
  /// O(nodes * channels). The network must outlive this.
  explicit ExpectedInputs(const Network& network);

  struct Means {
    std::vector<float> values;  ///< groups * elements of the reduction in the order of WeightView; empty: not known
    std::string unknown;        ///< why, as in "'x' is an input of the network"
  };
  /// Of Conv, ConvTranspose (not grouped), Gemm and MatMul, whose reduction runs over the input's axis 1; Gemm's alpha
  /// is part of x.
  Means of(const Layer& layer) const;
  /// Of the site's layer; a weight that several layers share gets no bias.
  Means of(const Site& site) const;

 private:
  const Network& network_;
  std::vector<ChannelStatistics> statistics_;  ///< by TensorId
};

/// What a user should know when choices of the table have an analytic bias: the weights that do not get it, and why.
/// Throws InputError naming the choices when no weight of the network gets it.
std::vector<std::string> notes_on_statistics(const Network& network, const ChoiceTable& choices);

}  // namespace bitplan
