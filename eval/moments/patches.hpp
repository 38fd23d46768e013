#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/network.hpp"
#include "model/spatial.hpp"

namespace bitplan {

/// The inputs of a layer as the rows that its weight rows are multiplied with: output = row . weight row + bias.
///
///   Gemm, MatMul   a row is a token: x [..., K] as rows of K values; Gemm's A transposed as transA says, times alpha
///   Conv           a row is an output position (outputs in row-major order, the samples in turn); group g's patch of
///                  it holds x[n, g I/G + c, o stride - pad + k dilation] in the order c, k: zero outside the image
///
/// Rows belong to samples: the network's batch cuts them into equal parts, in order, where the leading dimension of the
/// input is a multiple of the batch. Otherwise all rows of a run count as one sample.
class Patches {
 public:
  /// Throws InputError for layers whose inputs do not make such rows: embeddings, ConvTranspose, a constant left
  /// operand, a constant input.
  Patches(const Network& network, const Layer& layer);

  bool is_convolution() const { return conv_; }
  std::int64_t groups() const { return groups_; }
  std::int64_t columns() const { return columns_; }  ///< of a group
  bool by_sample() const { return by_sample_; }      ///< rows belong to samples; else one sample a run
  /// Samples of a run, the first `valid` of which are wanted.
  std::int64_t samples_of(std::int64_t valid) const { return by_sample_ ? valid : 1; }
  std::int64_t rows_per_sample() const { return rows_per_sample_; }
  std::int64_t values_per_sample() const { return values_per_sample_; }  ///< elements of the input

  /// Where a row stands: worked out once for all groups.
  struct Place {
    std::int64_t offset = 0;              ///< of the sample, or of the row
    std::array<std::int64_t, 3> first{};  ///< input index that kernel position 0 meets, by axis
    std::array<Window::Range, 3> taps{};  ///< kernel positions inside the image
  };
  /// Row `row` of the sample that begins at values[sample * values_per_sample()].
  Place place(std::int64_t sample, std::int64_t row) const;
  /// The group's part of that row: columns() values.
  void copy(std::span<const float> values, const Place& place, std::int64_t group, float* row) const;

 private:
  void plan_conv(const Network& network, const Node& node, const Layer& layer);
  void plan_linear(const Network& network, const Node& node, const Layer& layer);
  void copy_patch(const float* image, const Place& place, float* row) const;

  std::int64_t groups_ = 1, columns_ = 0, rows_per_sample_ = 0, values_per_sample_ = 0;
  bool conv_ = false, by_sample_ = false;
  std::int64_t row_stride_ = 0, column_stride_ = 1;  ///< linear: of the input's elements
  float alpha_ = 1;
  std::int64_t channels_ = 0, channel_size_ = 0;  ///< conv: of a group; elements of one channel's image
  std::array<Window, 3> windows_{};
  std::vector<std::int64_t> offsets_;  ///< conv, by column: from the first input that a patch meets
};

}  // namespace bitplan
