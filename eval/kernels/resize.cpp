#include <algorithm>
#include <numeric>

#include "eval/kernels/kernel_table.hpp"
#include "model/operators/resize_coordinates.hpp"

namespace bitplan {

namespace {

/// One axis of a tensor [outer, length, inner]: y[o, j, i] = sum of weight[t] * x[o, index[t], i] over the taps
/// first[j] <= t < first[j + 1] of output j.
struct AxisPass {
  std::int64_t outer, length, inner;
  std::vector<std::size_t> first{0};
  std::vector<std::int64_t> index{};
  std::vector<float> weight{};

  std::int64_t outputs() const { return static_cast<std::int64_t>(first.size()) - 1; }
};

void run_pass(const AxisPass& pass, const float* x, float* y) {
  for (std::int64_t o = 0; o < pass.outer; ++o, x += pass.length * pass.inner)
    for (std::size_t j = 0; j + 1 < pass.first.size(); ++j, y += pass.inner) {
      const std::size_t begin = pass.first[j], end = pass.first[j + 1];
      if (end - begin == 1 && pass.weight[begin] == 1) {  // nearest
        const float* row = x + pass.index[begin] * pass.inner;
        if (pass.inner == 1)
          *y = *row;
        else
          std::copy(row, row + pass.inner, y);
        continue;
      }
      if (pass.inner == 1) {
        float sum = 0;
        for (std::size_t t = begin; t < end; ++t) sum += pass.weight[t] * x[pass.index[t]];
        *y = sum;
        continue;
      }
      std::fill(y, y + pass.inner, 0.0F);
      for (std::size_t t = begin; t < end; ++t) {
        const float *row = x + pass.index[t] * pass.inner, weight = pass.weight[t];
        for (std::int64_t i = 0; i < pass.inner; ++i) y[i] += weight * row[i];
      }
    }
}

/// Passes alternate between the result and one scratch array, and end in the result.
class ResizeStep final : public Step {
 public:
  ResizeStep(const Operand& source, std::vector<AxisPass> passes, ValueId scratch, ValueId target)
      : source_(source), passes_(std::move(passes)), scratch_(scratch), target_(target) {}

  void run(Frame& frame) const override {
    const auto* x = reinterpret_cast<const float*>(frame.read(source_));
    for (std::size_t p = 0; p < passes_.size(); ++p) {
      const bool to_target = (passes_.size() - p) % 2 == 1;
      auto* y = reinterpret_cast<float*>(frame.write(to_target ? target_ : scratch_));
      run_pass(passes_[p], x, y);
      x = y;
    }
  }

 private:
  Operand source_;
  std::vector<AxisPass> passes_;
  ValueId scratch_, target_;
};

/// The axes that change; nothing for the settings that only the reference knows (cropping, kept aspect ratios).
std::optional<std::vector<std::pair<std::size_t, ResizeAxis>>> resized_axes(ProgramBuilder& builder, const Node& node) {
  const Network& net = builder.network();
  const Shape &x = net.tensor(node.inputs[0]).shape, &y = net.tensor(node.outputs[0]).shape;
  if (node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize" ||
      node.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    return std::nullopt;
  std::vector<std::int64_t> axes(x.size());
  std::iota(axes.begin(), axes.end(), 0);
  axes = node.integers("axes", axes);
  const Tensor* scales = node.inputs.size() > 2 ? builder.constant(node.inputs[2]) : nullptr;
  const bool by_scale = scales && scales->size() == axes.size() && scales->dtype() == DType::f32;
  std::vector<std::pair<std::size_t, ResizeAxis>> result;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<std::size_t>(axes[i] < 0 ? axes[i] + static_cast<std::int64_t>(x.size()) : axes[i]);
    const double scale = by_scale ? static_cast<double>(scales->values<float>()[i])
                                  : static_cast<double>(y[d]) / static_cast<double>(x[d]);
    if (x[d] != y[d] || scale != 1) result.push_back({d, {x[d], y[d], scale}});
  }
  return result;
}

}  // namespace

bool compile_resize(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const Node& node = net.node(group.nodes[0]);
  if (!builder.is_float(node.inputs[0]) || !builder.is_float(node.outputs[0])) return false;
  auto axes = resized_axes(builder, node);
  if (!axes || axes->empty()) return false;
  Shape shape = net.tensor(node.inputs[0]).shape;
  std::vector<AxisPass> passes;
  std::int64_t largest = 0;
  std::ranges::reverse(*axes);  // inner axes first, while outer ones are short
  for (const auto& [d, axis] : *axes) {
    const auto product = [&](std::size_t from, std::size_t to) {
      return std::accumulate(shape.begin() + static_cast<std::ptrdiff_t>(from),
                             shape.begin() + static_cast<std::ptrdiff_t>(to), std::int64_t{1}, std::multiplies());
    };
    AxisPass pass{product(0, d), axis.in, product(d + 1, shape.size())};
    for (const Mix& mix : resize_mixes(node, axis)) {
      if (mix.outside) return false;
      for (const auto& tap : mix.taps) {
        pass.index.push_back(tap.index);
        pass.weight.push_back(static_cast<float>(tap.weight));
      }
      pass.first.push_back(pass.index.size());
    }
    shape[d] = pass.outputs();
    largest = std::max(largest, element_count(shape));
    passes.push_back(std::move(pass));
  }
  if (shape != net.tensor(node.outputs[0]).shape) return false;
  const Operand x = builder.plain(node.inputs[0]);
  const ValueId y = builder.make(DType::f32, shape), scratch = builder.make(DType::f32, {largest});
  builder.add(std::make_unique<ResizeStep>(x, std::move(passes), scratch, y), {x}, {y, scratch});
  builder.define(node.outputs[0], y);
  return true;
}

}  // namespace bitplan
