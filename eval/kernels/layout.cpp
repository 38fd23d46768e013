#include "eval/kernels/layout.hpp"

#include <algorithm>
#include <array>

namespace bitplan {

namespace {

constexpr auto kFloat = dnnl::memory::data_type::f32;
using Tag = dnnl::memory::format_tag;

/// The layouts of activations that oneDNN's convolutions and poolings choose, by rank.
constexpr std::array kTags{
    std::array{Tag::nwc, Tag::nCw16c, Tag::nCw8c, Tag::nCw4c},
    std::array{Tag::nhwc, Tag::nChw16c, Tag::nChw8c, Tag::nChw4c},
    std::array{Tag::ndhwc, Tag::nCdhw16c, Tag::nCdhw8c, Tag::nCdhw4c},
};

}  // namespace

Layout plain_layout(const Shape& shape) {
  if (shape.empty()) return Layout({1}, kFloat, Tag::a);
  if (shape.size() > DNNL_MAX_NDIMS || std::ranges::count(shape, 0) > 0) return {};
  return strided_layout(shape, plain_placement(shape).strides);
}

Layout any_layout(const Dims& dims) { return Layout(dims, kFloat, Tag::any); }

Layout strided_layout(const Dims& dims, const Dims& strides) { return Layout(dims, kFloat, strides); }

Layout channels_last(const Dims& dims, dnnl::memory::data_type type) { return Layout(dims, type, Tag::nhwc); }

Layout blocked_layout(const Dims& dims, int block) {
  const auto& tags = kTags.at(dims.size() - 3);
  return Layout(dims, kFloat, block == 16 ? tags[1] : block == 8 ? tags[2] : tags[3]);
}

Dims dims_of(const Layout& layout) { return {layout.data.dims, layout.data.dims + layout.data.ndims}; }

std::optional<Layout> layout_like(const Layout& model, const Dims& dims) {
  const Dims from = dims_of(model);
  if (from.size() != dims.size()) return std::nullopt;
  if (model == plain_layout(from)) return plain_layout(dims);
  if (dims.size() < 3 || dims.size() > 5) return std::nullopt;
  for (const Tag tag : kTags[dims.size() - 3])
    if (model == Layout(from, kFloat, tag)) return Layout(dims, kFloat, tag);
  return std::nullopt;
}

std::optional<Placement> placement_of(const Layout& layout) {
  const auto& md = layout.data;
  if (md.format_kind != dnnl_blocked || md.offset0 != 0) return std::nullopt;
  const auto& blocking = md.format_desc.blocking;
  if (blocking.inner_nblks > 1) return std::nullopt;
  Placement result{{md.dims, md.dims + md.ndims}, {blocking.strides, blocking.strides + md.ndims}};
  if (blocking.inner_nblks == 1) {
    result.blocked_dim = static_cast<int>(blocking.inner_idxs[0]);
    result.block = blocking.inner_blks[0];
  }
  return result;
}

Placement plain_placement(const Shape& shape) {
  Placement result{shape, std::vector<std::int64_t>(shape.size())};
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 0; stride *= std::max<std::int64_t>(shape[d], 1)) result.strides[d] = stride;
  return result;
}

DType dtype_of_layout(const Layout& layout) {
  switch (layout.data_type()) {
    case dnnl::memory::data_type::u8:
      return DType::u8;
    case dnnl::memory::data_type::s8:
      return DType::i8;
    case dnnl::memory::data_type::s32:
      return DType::i32;
    default:
      return DType::f32;
  }
}

bool has_padding(const Layout& layout) {
  const auto& md = layout.data;
  return !std::equal(md.dims, md.dims + md.ndims, md.padded_dims);
}

bool is_reference(const std::string& implementation) { return implementation.find("ref") != std::string::npos; }

}  // namespace bitplan
