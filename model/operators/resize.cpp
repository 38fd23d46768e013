#include <algorithm>
#include <cmath>

#include "model/operators/declarations.hpp"

// Resize (opset 11 on), mode nearest or linear: along each axis, output o reads the input at a coordinate x(o) that the
// coordinate_transformation_mode defines; linear is separable and runs axis by axis. Coordinates are float32, as in
// ONNX Runtime, so that ties fall the same way.
namespace bitplan {
namespace {

struct ResizeAxis {
  std::int64_t in, out;
  float scale;
};

std::string known_text(const Node& node, const char* key, const std::string& fallback,
                       std::initializer_list<std::string_view> known) {
  const std::string value = node.text(key, fallback);
  if (std::find(known.begin(), known.end(), value) != known.end()) return value;
  std::string names;
  for (const auto name : known) names += (names.empty() ? "" : ", ") + std::string(name);
  fail_node(node, "attribute '" + std::string(key) + "' is '" + value + "'; supported: " + names);
}

void check_modes(const Node& node) {
  known_text(node, "mode", "nearest", {"nearest", "linear"});
  known_text(node, "coordinate_transformation_mode", "half_pixel",
             {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"});
  known_text(node, "nearest_mode", "round_prefer_floor", {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  known_text(node, "keep_aspect_ratio_policy", "stretch", {"stretch"});
  if (node.integer("antialias", 0) != 0) fail_node(node, "antialias is not supported");
}

std::vector<ResizeAxis> plan_resize(const Node& node, FactsIn inputs) {
  check_modes(node);
  const Shape& in = inputs[0]->shape;
  std::vector<ResizeAxis> plan;
  for (const auto size : in) plan.push_back({size, size, 1});
  std::vector<std::int64_t> axes = node.integers("axes", {});
  if (axes.empty())
    for (std::size_t d = 0; d < in.size(); ++d) axes.push_back(static_cast<std::int64_t>(d));
  axes_of(node, axes, in.size());  // refuses repeated axes
  const auto* scales = optional_input(inputs, 2);
  const bool by_scale = scales && element_count(scales->shape) > 0, by_size = optional_input(inputs, 3) != nullptr;
  if (by_scale == by_size) fail_node(node, "exactly one of its inputs 'scales' and 'sizes' is needed");
  std::vector<std::int64_t> sizes;
  if (by_size) sizes = known_integers(node, inputs, 3, "sizes");
  if (by_scale) require_type(node, *scales, {DType::f32});
  if (by_scale && !scales->constant) fail_node(node, "its input 'scales' depends on the data");
  const std::size_t count = by_size ? sizes.size() : scales->constant->size();
  if (count != axes.size()) fail_node(node, "its scales or sizes do not fit its axes");
  for (std::size_t i = 0; i < count; ++i) {
    ResizeAxis& axis = plan[axis_of(node, axes[i], in.size())];
    if (axis.in < 1) fail_node(node, "an empty axis cannot be resized");
    if (by_size)
      axis.out = sizes[i], axis.scale = static_cast<float>(sizes[i]) / static_cast<float>(axis.in);
    else
      axis.scale = scales->constant->values<float>()[i];
    if (!(axis.scale > 0 && axis.scale < 0x1p20f)) fail_node(node, "a scale is not inside 0 … 2^20");
    if (by_scale) axis.out = static_cast<std::int64_t>(std::floor(static_cast<float>(axis.in) * axis.scale));
  }
  return plan;
}

float coordinate(const std::string& mode, const ResizeAxis& axis, std::int64_t o) {
  const auto x = static_cast<float>(o), in = static_cast<float>(axis.in), out = static_cast<float>(axis.out);
  if (mode == "asymmetric") return x / axis.scale;
  if (mode == "align_corners") return axis.out == 1 ? 0 : x * (in - 1) / (out - 1);
  if (mode == "pytorch_half_pixel" && axis.out <= 1) return 0;
  const float centred = (x + 0.5f) / axis.scale - 0.5f;
  if (mode != "half_pixel_symmetric") return centred;
  const float adjustment = out / (axis.scale * in);
  return in / 2 * (1 - adjustment) + centred;
}

/// Output o is (1 - share) in[low] + share in[high].
struct Mix {
  std::int64_t low, high;
  double share;
};

std::vector<Mix> mixes(const Node& node, const ResizeAxis& axis) {
  const std::string mode = node.text("coordinate_transformation_mode", "half_pixel");
  const std::string nearest = node.text("nearest_mode", "round_prefer_floor");
  const bool linear = node.text("mode", "nearest") == "linear";
  std::vector<Mix> result;
  for (std::int64_t o = 0; o < axis.out; ++o) {
    float x = axis.scale == 1 ? static_cast<float>(o) : coordinate(mode, axis, o);
    if (!linear) {
      if (nearest == "floor")
        x = std::floor(x);
      else if (nearest == "ceil")
        x = std::ceil(x);
      else
        x = nearest == "round_prefer_ceil" ? std::floor(x + 0.5f) : std::ceil(x - 0.5f);
    }
    x = std::clamp(x, 0.0f, static_cast<float>(axis.in - 1));
    const auto low = static_cast<std::int64_t>(x);
    result.push_back({low, std::min(low + 1, axis.in - 1), static_cast<double>(x) - static_cast<double>(low)});
  }
  return result;
}

}  // namespace

Facts infer_resize(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  Shape shape;
  for (const auto& axis : plan_resize(node, inputs)) shape.push_back(axis.out);
  return one_output(node, DType::f32, std::move(shape));
}

std::vector<Tensor> evaluate_resize(const Node& node, TensorsIn inputs) {
  const auto plan = plan_resize(node, KnownInputs(inputs));
  const auto x = inputs[0]->values<float>();
  std::vector<double> values(x.begin(), x.end());
  Shape shape = inputs[0]->shape();
  for (std::size_t d = 0; d < plan.size(); ++d) {
    if (plan[d].in == plan[d].out && plan[d].scale == 1) continue;
    const auto mix = mixes(node, plan[d]);
    const auto outer =
        static_cast<std::size_t>(element_count(Shape(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(d))));
    const auto inner =
        static_cast<std::size_t>(element_count(Shape(shape.begin() + static_cast<std::ptrdiff_t>(d) + 1, shape.end())));
    std::vector<double> next;
    next.reserve(outer * mix.size() * inner);
    for (std::size_t o = 0; o < outer; ++o)
      for (const Mix& m : mix) {
        const double* low =
            values.data() + (o * static_cast<std::size_t>(plan[d].in) + static_cast<std::size_t>(m.low)) * inner;
        const double* high =
            values.data() + (o * static_cast<std::size_t>(plan[d].in) + static_cast<std::size_t>(m.high)) * inner;
        for (std::size_t i = 0; i < inner; ++i)
          next.push_back(m.share == 0 ? low[i] : (1 - m.share) * low[i] + m.share * high[i]);
      }
    values = std::move(next);
    shape[d] = plan[d].out;
  }
  Tensor y(DType::f32, shape);
  const auto out = y.writable<float>();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(values[i]);
  return {y};
}

}  // namespace bitplan
