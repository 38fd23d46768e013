#include <algorithm>
#include <vector>

#include "model/operators/declarations.hpp"

// Col2Im (opset 18; F.fold of PyTorch): blocks of an image, which may overlap, are added up where they lie.
//   X [N, C b1 b2 …, L], Y [N, C, i1, i2, …], L = product of the numbers of places along each axis,
//   places = (i + pads - dilation (b - 1) - 1) / stride + 1
// Element (c, k, l) of X is added to Y at stride * place(l) + dilation * k - pad, or dropped when that is padding.
namespace bitplan {
namespace {

struct FoldPlan {
  std::vector<std::int64_t> image, block, dilations, strides, begins, places;
  Shape shape;  ///< of the result
};

std::vector<std::int64_t> list_of(const Node& node, const char* name, std::size_t size, std::int64_t fallback,
                                  std::int64_t least) {
  const auto list = node.integers(name, std::vector<std::int64_t>(size, fallback));
  bool fits = list.size() == size;
  for (const auto v : list) fits = fits && v >= least && v <= std::int64_t{1} << 31;
  if (!fits) fail_node(node, "attribute '" + std::string(name) + "' does not fit " + std::to_string(size) + " values");
  return list;
}

FoldPlan plan_fold(const Node& node, FactsIn inputs) {
  require_type(node, *inputs[0], {DType::f32});
  require_rank(node, *inputs[0], 3, 3);
  FoldPlan plan{known_integers(node, inputs, 1, "image_shape"),
                known_integers(node, inputs, 2, "block_shape"),
                {},
                {},
                {},
                {},
                {}};
  const std::size_t rank = plan.image.size();
  if (rank < 1 || rank > 3 || plan.block.size() != rank)
    fail_node(node, "image_shape and block_shape have " + std::to_string(rank) + " and " +
                        std::to_string(plan.block.size()) + " axes; allowed: 1 to 3, as many of both");
  plan.dilations = list_of(node, "dilations", rank, 1, 1);
  plan.strides = list_of(node, "strides", rank, 1, 1);
  plan.begins = list_of(node, "pads", 2 * rank, 0, 0);
  std::int64_t cells = 1, columns = 1;
  const Shape& x = inputs[0]->shape;
  for (std::size_t d = 0; d < rank; ++d) {
    const std::int64_t limit = std::int64_t{1} << 31, b = plan.block[d], i = plan.image[d];
    const std::int64_t room = i + plan.begins[d] + plan.begins[rank + d];
    if (b < 1 || i < 1 || i > limit || b > x[1] || room < plan.dilations[d] * (b - 1) + 1)
      fail_node(node, "a block of " + std::to_string(b) + " does not fit an image of " + std::to_string(i));
    plan.places.push_back((room - plan.dilations[d] * (b - 1) - 1) / plan.strides[d] + 1);
    if (b > x[1] / cells || plan.places[d] > x[2] / columns) cells = 0;
    if (cells == 0) break;
    cells *= b, columns *= plan.places[d];
  }
  if (cells == 0 || x[1] % cells != 0 || x[2] != columns)
    fail_node(node, "an input of shape " + to_string(x) + " does not fit its image and blocks");
  plan.shape = {x[0], x[1] / cells};
  plan.shape.insert(plan.shape.end(), plan.image.begin(), plan.image.end());
  return plan;
}

/// Where element `place` of `block` lies in the image; -1 when that is padding.
std::int64_t offset_of(const FoldPlan& plan, std::int64_t block, std::int64_t place) {
  std::int64_t offset = 0, step = 1;
  for (std::size_t d = plan.image.size(); d-- > 0;) {
    const std::int64_t at =
        place % plan.places[d] * plan.strides[d] + block % plan.block[d] * plan.dilations[d] - plan.begins[d];
    if (at < 0 || at >= plan.image[d]) return -1;
    offset += at * step;
    step *= plan.image[d], place /= plan.places[d], block /= plan.block[d];
  }
  return offset;
}

}  // namespace

Facts infer_col2im(const Node& node, FactsIn inputs) {
  return one_output(node, DType::f32, plan_fold(node, inputs).shape);
}

std::vector<Tensor> evaluate_col2im(const Node& node, TensorsIn inputs) {
  const FoldPlan plan = plan_fold(node, KnownInputs(inputs));
  const std::int64_t columns = inputs[0]->shape()[2], images = plan.shape[0] * plan.shape[1];
  const std::int64_t pixels = element_count(plan.image), cells = element_count(plan.block);
  const auto x = inputs[0]->values<float>();
  Tensor y(DType::f32, plan.shape);
  std::vector<double> sums(static_cast<std::size_t>(pixels));
  for (std::int64_t image = 0; image < images; ++image) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::int64_t block = 0; block < cells; ++block)
      for (std::int64_t place = 0; place < columns; ++place)
        if (const std::int64_t at = offset_of(plan, block, place); at >= 0)
          sums[static_cast<std::size_t>(at)] +=
              static_cast<double>(x[static_cast<std::size_t>((image * cells + block) * columns + place)]);
    for (std::size_t i = 0; i < sums.size(); ++i)
      y.writable<float>()[static_cast<std::size_t>(image * pixels) + i] = static_cast<float>(sums[i]);
  }
  return {y};
}

}  // namespace bitplan
