#include "model/spatial.hpp"

#include <algorithm>

#include "model/operator.hpp"

namespace bitplan {
namespace {

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }
std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// No size along one axis may pass this, so that sums of products of two stay inside 64 bits.
constexpr std::int64_t kMostAlongAxis = std::int64_t{1} << 30;

std::vector<std::int64_t> per_axis(const Node& node, const char* key, std::size_t count, std::int64_t fallback,
                                   std::int64_t least) {
  auto values = node.integers(key, std::vector<std::int64_t>(count, fallback));
  if (values.size() != count)
    fail_node(node, "attribute '" + std::string(key) + "' has " + std::to_string(values.size()) + " entries; " +
                        std::to_string(count) + " are needed");
  for (const auto value : values)
    if (value < least || value > kMostAlongAxis)
      fail_node(node, "attribute '" + std::string(key) + "' has the entry " + std::to_string(value) +
                          "; allowed: " + std::to_string(least) + " to 2^30");
  return values;
}

enum class AutoPad { notset, same_upper, same_lower, valid };

AutoPad auto_pad_of(const Node& node) {
  const std::string text = node.text("auto_pad", "NOTSET");
  if (text == "NOTSET") return AutoPad::notset;
  if (text == "SAME_UPPER") return AutoPad::same_upper;
  if (text == "SAME_LOWER") return AutoPad::same_lower;
  if (text == "VALID") return AutoPad::valid;
  fail_node(node, "attribute 'auto_pad' is '" + text + "'; known: NOTSET, SAME_UPPER, SAME_LOWER, VALID");
}

/// Kernel, stride, dilation and explicit pads of all axes; input is filled in too.
std::vector<Window> read_windows(const Node& node, const Shape& input, const Shape& kernel, AutoPad mode) {
  const std::size_t n = kernel.size();
  if (input.size() != n + 2)
    fail_node(node, "an input of shape " + to_string(input) + " does not fit a kernel of " + std::to_string(n) +
                        " spatial axes");
  const auto strides = per_axis(node, "strides", n, 1, 1);
  const auto dilations = per_axis(node, "dilations", n, 1, 1);
  const auto pads = per_axis(node, "pads", 2 * n, 0, 0);
  std::vector<Window> windows(n);
  for (std::size_t d = 0; d < n; ++d) {
    if (kernel[d] < 1 || kernel[d] > kMostAlongAxis || input[d + 2] < 1 || input[d + 2] > kMostAlongAxis)
      fail_node(node, "kernel " + to_string(kernel) + " on input " + to_string(input) + ": sizes must be 1 to 2^30");
    windows[d] = {.input = input[d + 2], .kernel = kernel[d], .stride = strides[d], .dilation = dilations[d]};
    if (mode == AutoPad::notset) windows[d].pad_begin = pads[d], windows[d].pad_end = pads[d + n];
  }
  return windows;
}

std::int64_t extent(const Window& w) { return (w.kernel - 1) * w.dilation + 1; }

}  // namespace

Window::Range Window::outputs_of(std::int64_t k) const {
  const std::int64_t shift = pad_begin - k * dilation;
  return {std::max<std::int64_t>(0, ceil_div(shift, stride)),
          std::min(output, floor_div(input - 1 + shift, stride) + 1)};
}

Window::Range Window::taps_of(std::int64_t o) const {
  const std::int64_t shift = pad_begin - o * stride;
  return {std::max<std::int64_t>(0, ceil_div(shift, dilation)),
          std::min(kernel, floor_div(input - 1 + shift, dilation) + 1)};
}

Window::Range Window::padded_taps_of(std::int64_t o) const {
  const std::int64_t shift = pad_begin - o * stride;
  return {0, std::min(kernel, floor_div(input + pad_end - 1 + shift, dilation) + 1)};
}

std::vector<Window> conv_windows(const Node& node, const Shape& input, const Shape& kernel) {
  const AutoPad mode = auto_pad_of(node);
  const bool ceil_mode = node.integer("ceil_mode", 0) != 0;
  auto windows = read_windows(node, input, kernel, mode);
  for (auto& w : windows) {
    if (mode == AutoPad::same_upper || mode == AutoPad::same_lower) {
      w.output = ceil_div(w.input, w.stride);
      const std::int64_t pad = std::max<std::int64_t>(0, (w.output - 1) * w.stride + extent(w) - w.input);
      w.pad_begin = mode == AutoPad::same_upper ? pad / 2 : pad - pad / 2;
      w.pad_end = pad - w.pad_begin;
      continue;
    }
    const std::int64_t room = w.input + w.pad_begin + w.pad_end - extent(w);
    if (room < 0)
      fail_node(node, "a kernel of extent " + std::to_string(extent(w)) + " is larger than the padded input of " +
                          std::to_string(w.input + w.pad_begin + w.pad_end));
    w.output = room / w.stride + 1;
    if (ceil_mode && mode == AutoPad::notset) {
      w.output = ceil_div(room, w.stride) + 1;
      if ((w.output - 1) * w.stride >= w.input + w.pad_begin)
        --w.output;  // would start in the padding behind the input
    }
  }
  return windows;
}

std::vector<Window> conv_transpose_windows(const Node& node, const Shape& input, const Shape& kernel) {
  const AutoPad mode = auto_pad_of(node);
  auto windows = read_windows(node, input, kernel, mode);
  const std::size_t n = windows.size();
  const auto extra = per_axis(node, "output_padding", n, 0, 0);
  const bool sized = node.has("output_shape");
  const auto wanted = sized ? per_axis(node, "output_shape", n, 1, 1) : std::vector<std::int64_t>(n, 0);
  for (std::size_t d = 0; d < n; ++d) {
    Window& w = windows[d];
    const std::int64_t full = w.stride * (w.input - 1) + extra[d] + extent(w);
    std::int64_t size = full - w.pad_begin - w.pad_end;
    if (sized || mode == AutoPad::same_upper || mode == AutoPad::same_lower) {
      size = sized ? wanted[d] : w.input * w.stride;
      const std::int64_t pad = std::max<std::int64_t>(0, full - size);
      w.pad_begin = mode == AutoPad::same_upper ? pad / 2 : pad - pad / 2;
      w.pad_end = pad - w.pad_begin;
    }
    if (size < 1) fail_node(node, "pads leave no output along spatial axis " + std::to_string(d));
    w.output = w.input;
    w.input = size;
  }
  return windows;
}

std::array<Window, 3> three_axes(const Node& node, const std::vector<Window>& windows) {
  if (windows.size() > 3) fail_node(node, "more than three spatial axes are not supported");
  std::array<Window, 3> three;
  for (std::size_t d = 0; d < windows.size(); ++d) three[3 - windows.size() + d] = windows[d];
  return three;
}

}  // namespace bitplan
