#include <algorithm>
#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/lines.hpp"
#include "model/operators/resize_coordinates.hpp"

// Resize: separable, axis by axis; each output is a weighted sum of inputs (resize_coordinates.hpp).
namespace bitplan {
namespace {

void require_text(const Node& node, const char* key, const std::string& fallback,
                  std::initializer_list<std::string_view> known) {
  const std::string value = node.text(key, fallback);
  if (std::find(known.begin(), known.end(), value) != known.end()) return;
  std::string names;
  for (const auto name : known) names += (names.empty() ? "" : ", ") + std::string(name);
  fail_node(node, "attribute '" + std::string(key) + "' is '" + value + "'; supported: " + names);
}

void check_modes(const Node& node) {
  require_text(node, "mode", "nearest", {"nearest", "linear", "cubic"});
  require_text(node, "coordinate_transformation_mode", "half_pixel",
               {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric",
                "tf_crop_and_resize", "tf_half_pixel_for_nn"});
  require_text(node, "nearest_mode", "round_prefer_floor",
               {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  require_text(node, "keep_aspect_ratio_policy", "stretch", {"stretch", "not_larger", "not_smaller"});
}

/// Numbers of a float input that must be known; empty when the input is absent or empty.
std::vector<double> known_floats(const Node& node, FactsIn inputs, std::size_t i, const char* what) {
  const auto* input = optional_input(inputs, i);
  if (!input || element_count(input->shape) == 0) return {};
  require_type(node, *input, {DType::f32, DType::f64});
  if (!input->constant) fail_data_dependent(node, "its input '" + std::string(what) + "'");
  const Tensor wide = input->constant->cast(DType::f64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

/// Sizes are stretched to, or, to keep the aspect ratio, one scale is taken for all axes.
void set_sizes(const Node& node, std::vector<ResizeAxis*> axes, const std::vector<std::int64_t>& sizes) {
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  double least = INFINITY, most = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    axes[i]->out = sizes[i];
    axes[i]->scale = static_cast<double>(sizes[i]) / static_cast<double>(axes[i]->in);
    least = std::min(least, axes[i]->scale), most = std::max(most, axes[i]->scale);
  }
  if (policy == "stretch") return;
  for (auto* axis : axes) {
    axis->scale = policy == "not_larger" ? least : most;
    axis->out = static_cast<std::int64_t>(std::clamp(axis->scale * static_cast<double>(axis->in), -1.0, 0x1p40) + 0.5);
  }
}

std::vector<ResizeAxis> plan_resize(const Node& node, FactsIn inputs) {
  check_modes(node);
  const Shape& in = inputs[0]->shape;
  std::vector<ResizeAxis> plan;
  for (const auto size : in) plan.push_back({size, size});
  std::vector<std::int64_t> named = node.integers("axes", {});
  if (named.empty())
    for (std::size_t d = 0; d < in.size(); ++d) named.push_back(static_cast<std::int64_t>(d));
  axes_of(node, named, in.size());  // refuses repeated axes
  std::vector<ResizeAxis*> axes;
  for (const auto axis : named) axes.push_back(&plan[axis_of(node, axis, in.size())]);
  const auto scales = known_floats(node, inputs, 2, "scales"), roi = known_floats(node, inputs, 1, "roi");
  const bool by_size = optional_input(inputs, 3) != nullptr && element_count(inputs[3]->shape) > 0;
  const auto sizes = by_size ? known_integers(node, inputs, 3, "sizes") : std::vector<std::int64_t>{};
  if (by_size != scales.empty()) fail_node(node, "exactly one of its inputs 'scales' and 'sizes' is needed");
  if (std::max(scales.size(), sizes.size()) != axes.size()) fail_node(node, "its scales or sizes do not fit its axes");
  const bool cropped = node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
  if (cropped && roi.size() != 2 * axes.size()) fail_node(node, "its input 'roi' does not fit its axes");
  for (const auto* axis : axes)
    if (axis->in < 1) fail_node(node, "an empty axis cannot be resized");
  if (by_size) set_sizes(node, axes, sizes);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    ResizeAxis& axis = *axes[i];
    if (!by_size) axis.scale = scales[i];
    if (!(axis.scale > 0 && axis.scale < 0x1p20)) fail_node(node, "a scale is not inside 0 … 2^20");
    // The product in float32, as in ONNX Runtime: 5 x 0.6f is 3.
    if (!by_size)
      axis.out = static_cast<std::int64_t>(std::floor(static_cast<float>(axis.in) * static_cast<float>(axis.scale)));
    if (cropped) axis.crop_begin = roi[i], axis.crop_end = roi[i + axes.size()], axis.cropped = true;
  }
  return plan;
}

/// values along axis d (outer x in x inner) to outer x out x inner.
std::vector<double> resize_axis(const std::vector<double>& values, const Lines& lines, std::span<const Mix> mixes,
                                double outside) {
  std::vector<double> result;
  const auto inner = static_cast<std::size_t>(lines.inner);
  result.reserve(static_cast<std::size_t>(lines.outer) * mixes.size() * inner);
  for (std::int64_t o = 0; o < lines.outer; ++o)
    for (const Mix& mix : mixes)
      for (std::size_t i = 0; i < inner; ++i) {
        double sum = mix.outside ? outside : 0;
        for (const auto& tap : mix.taps)
          sum += tap.weight * values[static_cast<std::size_t>(o * lines.length + tap.index) * inner + i];
        result.push_back(sum);
      }
  return result;
}

}  // namespace

Facts infer_resize(const Node& node, FactsIn inputs) {
  require_number(node, *inputs[0]);
  Shape shape;
  for (const auto& axis : plan_resize(node, inputs)) shape.push_back(axis.out);
  return one_output(node, inputs[0]->dtype, std::move(shape));
}

std::vector<Tensor> evaluate_resize(const Node& node, TensorsIn inputs) {
  const auto plan = plan_resize(node, KnownInputs(inputs));
  const Tensor wide = inputs[0]->cast(DType::f64);
  std::vector<double> values(wide.values<double>().begin(), wide.values<double>().end());
  Shape shape = inputs[0]->shape();
  const auto outside = static_cast<double>(node.number("extrapolation_value", 0));
  for (std::size_t d = 0; d < plan.size(); ++d) {
    if (plan[d].in == plan[d].out && plan[d].scale == 1 && !plan[d].cropped) continue;
    values = resize_axis(values, Lines::of(shape, d), resize_mixes(node, plan[d]), outside);
    shape[d] = plan[d].out;
  }
  return {Tensor::of<double>(shape, values).cast(inputs[0]->dtype())};
}

}  // namespace bitplan
