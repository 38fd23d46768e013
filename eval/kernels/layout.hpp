#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// The one header of the project that brings in oneDNN; it is private to eval/executor*.cpp and eval/kernels/.
#include <oneapi/dnnl/dnnl.hpp>

#include "core/tensor.hpp"

namespace bitplan {

/// How the elements of a float array lie in memory: dimensions, strides, blocks, padding.
/// The layouts met here are row-major ("plain"), permuted (channels last) and blocked by channel, [N, C/b, H, W, b],
/// where C is padded with zeros to a multiple of b. Every kernel keeps that padding zero.
using Layout = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

/// Row-major float layout; a scalar is [1]. An empty Layout when oneDNN has none for it (more than 12 dimensions, no
/// elements).
Layout plain_layout(const Shape& shape);
/// Same dimensions, the layout left to the primitive.
Layout any_layout(const Dims& dims);
Layout strided_layout(const Dims& dims, const Dims& strides);
/// [N, H, W, C] in memory, for rank 4.
Layout channels_last(const Dims& dims, dnnl::memory::data_type type);
/// [N, C/block, …, block], block 4, 8 or 16, for rank 3 to 5.
Layout blocked_layout(const Dims& dims, int block);
Dims dims_of(const Layout& layout);

/// The physical order of `model` (channels last, blocks of 16, …) for other dimensions of the same rank.
/// Nothing when it has no name for that.
std::optional<Layout> layout_like(const Layout& model, const Dims& dims);

/// Element (i0, i1, …) lies at sum of strides[d] * i[d], where dimension `blocked_dim` (if any) counts blocks
/// i / block at its stride and i % block elements beyond.
struct Placement {
  std::vector<std::int64_t> dims, strides;
  int blocked_dim = -1;
  std::int64_t block = 1;
};
/// Nothing when the layout has more than one block or an offset.
std::optional<Placement> placement_of(const Layout& layout);
Placement plain_placement(const Shape& shape);

DType dtype_of_layout(const Layout& layout);

/// True when some elements are padding.
bool has_padding(const Layout& layout);

/// True for oneDNN's unoptimised implementations.
bool is_reference(const std::string& implementation);

}  // namespace bitplan
