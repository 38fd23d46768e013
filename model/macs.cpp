#include "model/macs.hpp"

#include <algorithm>

namespace bitplan {
namespace {

double count(const Shape& shape) { return static_cast<double>(element_count(shape)); }

}  // namespace

double multiply_accumulates(const Node& node, const Shape& a, const Shape& b, const Shape& output) {
  if (node.op == "Conv") return b[0] == 0 ? 0 : count(output) * (count(b) / static_cast<double>(b[0]));
  if (node.op == "ConvTranspose") return b[0] == 0 ? 0 : count(a) * (count(b) / static_cast<double>(b[0]));
  if (node.op == "Gemm") return count(output) * static_cast<double>(a[node.integer("transA", 0) != 0 ? 0 : 1]);
  if (node.op == "MatMul") return count(output) * static_cast<double>(a.back());
  return 0;
}

}  // namespace bitplan
