#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// DepthToSpace and SpaceToDepth with blocks of b x b:
//   DCR: Y[n, c, h b + i, w b + j] = X[n, (i b + j) C + c, h, w]        CRD: … = X[n, c b b + i b + j, h, w]
// SpaceToDepth is the inverse of DCR.
namespace bitplan {
namespace {

std::int64_t block_of(const Node& node, const TensorFacts& x) {
  require_rank(node, x, 4, 4);
  const std::int64_t block = node.integer("blocksize", 0);
  if (block < 1 || block > 1 << 15)
    fail_node(node, "attribute 'blocksize' is " + std::to_string(block) + "; allowed: 1 to 2^15");
  return block;
}

[[noreturn]] void misfit(const Node& node, const Shape& shape, std::int64_t block) {
  fail_node(node, "an input of shape " + to_string(shape) + " does not fit blocks of " + std::to_string(block));
}

}  // namespace

Facts infer_depth_to_space(const Node& node, FactsIn inputs) {
  const Shape& x = inputs[0]->shape;
  const std::int64_t b = block_of(node, *inputs[0]);
  const std::string mode = node.text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") fail_node(node, "attribute 'mode' is '" + mode + "'; known: DCR, CRD");
  if (x[1] % (b * b) != 0) misfit(node, x, b);
  return one_output(node, inputs[0]->dtype, {x[0], x[1] / (b * b), x[2] * b, x[3] * b});
}

Facts infer_space_to_depth(const Node& node, FactsIn inputs) {
  const Shape& x = inputs[0]->shape;
  const std::int64_t b = block_of(node, *inputs[0]);
  if (x[2] % b != 0 || x[3] % b != 0) misfit(node, x, b);
  return one_output(node, inputs[0]->dtype, {x[0], x[1] * b * b, x[2] / b, x[3] / b});
}

std::vector<Tensor> evaluate_depth_to_space(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const Shape shape = infer_depth_to_space(node, known)[0].shape;
  const std::int64_t b = node.integer("blocksize", 0);
  const bool dcr = node.text("mode", "DCR") == "DCR";
  const Strides s = strides_of(inputs[0]->shape());
  const std::int64_t channel = dcr ? s[1] : b * b * s[1], within = dcr ? shape[1] * s[1] : s[1];
  return {strided_copy(*inputs[0], {shape[0], shape[1], shape[2] / b, b, shape[3] / b, b},
                       {s[0], channel, s[2], b * within, s[3], within})
              .reshaped(shape)};
}

std::vector<Tensor> evaluate_space_to_depth(const Node& node, TensorsIn inputs) {
  const KnownInputs known(inputs);
  const Shape shape = infer_space_to_depth(node, known)[0].shape, &x = inputs[0]->shape();
  const std::int64_t b = node.integer("blocksize", 0);
  const Strides s = strides_of(x);
  return {strided_copy(*inputs[0], {x[0], b, b, x[1], shape[2], shape[3]}, {s[0], s[2], s[3], s[1], b * s[2], b * s[3]})
              .reshaped(shape)};
}

}  // namespace bitplan
