#include <algorithm>
#include <cmath>

#include "eval/executor/graph_patterns.hpp"
#include "eval/kernels/kernel_table.hpp"
#include "eval/kernels/matrix_stack.hpp"
#include "eval/kernels/row_kernels.hpp"

namespace bitplan {

namespace {

/// Masked scores below this are 0 after softmax, whatever was added to them.
constexpr float kMasked = -1e30F;
constexpr std::int64_t kRowBlock = 64;  ///< rows of scores that are computed together where a mask shortens them

/// An additive mask [..., M, N], broadcast to the scores.
struct Mask {
  Operand base;
  std::vector<std::int64_t> offsets;  ///< by matrix of the stack
  std::int64_t row_stride = 0;
};

/// softmax(scale q k + mask) v, one matrix of the stack after the other: its scores stay in cache.
///
/// columns[r] columns are enough for rows r kRowBlock ...: the mask hides the others in each matrix (a causal mask
/// hides half of all scores).
class AttentionStep final : public Step {
 public:
  struct Plan {
    MatrixStack q, k, v;
    std::optional<Mask> mask;
    std::int64_t rows, columns, inner, width;  ///< M, N, K, D
    float scale;
    std::vector<std::int64_t> needed;   ///< columns, by block of rows; one block when nothing is hidden
    std::vector<std::int64_t> targets;  ///< offsets of the results, by matrix
    std::int64_t target_leading;
  };

  AttentionStep(Plan plan, ValueId scores, ValueId target)
      : p_(std::move(plan)), scores_(scores), target_(target), isa_(best_isa()) {}

  void run(Frame& frame) const override {
    const auto* q = reinterpret_cast<const float*>(frame.read(p_.q.base));
    const auto* k = reinterpret_cast<const float*>(frame.read(p_.k.base));
    const auto* v = reinterpret_cast<const float*>(frame.read(p_.v.base));
    const auto* mask = p_.mask ? reinterpret_cast<const float*>(frame.read(p_.mask->base)) : nullptr;
    auto* y = reinterpret_cast<float*>(frame.write(target_));
    auto* scores = reinterpret_cast<float*>(frame.write(scores_));
    const auto blocks = static_cast<std::int64_t>(p_.needed.size());
    const std::int64_t height = blocks == 1 ? p_.rows : kRowBlock;
    for (std::size_t i = 0; i < p_.targets.size(); ++i)
      for (std::int64_t b = 0; b < blocks; ++b) {
        const std::int64_t first = b * height, rows = std::min(height, p_.rows - first);
        const float* from = p_.q.at(q, i) + first * (p_.q.transposed ? 1 : p_.q.leading);
        const float* hidden = mask ? mask + p_.mask->offsets[i] + first * p_.mask->row_stride : nullptr;
        block(from, p_.k.at(k, i), p_.v.at(v, i), hidden, scores, y + p_.targets[i] + first * p_.target_leading, rows,
              p_.needed[static_cast<std::size_t>(b)]);
      }
  }

 private:
  void block(const float* q, const float* k, const float* v, const float* mask, float* scores, float* y,
             std::int64_t rows, std::int64_t columns) const {
    multiply({rows, columns, p_.inner, p_.scale}, p_.q, q, p_.k, k, scores, columns);
    for (std::int64_t r = 0; r < rows; ++r)
      softmax_row(isa_, scores + r * columns, mask ? mask + r * p_.mask->row_stride : nullptr, scores + r * columns,
                  static_cast<std::size_t>(columns));
    const MatrixStack dense{{}, {}, false, columns};
    multiply({rows, p_.width, columns}, dense, scores, p_.v, v, y, p_.target_leading);
  }

  Plan p_;
  ValueId scores_, target_;
  Isa isa_;
};

std::optional<Mask> mask_of(ProgramBuilder& builder, TensorId tensor, const Shape& scores) {
  const Shape& shape = builder.network().tensor(tensor).shape;
  if (!builder.is_float(tensor) || shape.empty() || shape.back() != scores.back()) return std::nullopt;
  const StridedOperand seen = builder.strided(tensor).expanded(scores);
  const std::size_t rows = scores.size() - 2;
  if (seen.strides.back() != 1 || seen.repeats.back() != 1 || seen.repeats[rows] != 1) return std::nullopt;
  StridedOperand one_row = seen;
  one_row.dims[rows] = 1;
  const auto stack = MatrixStack::of(one_row, stack_dims(scores));
  if (!stack) return std::nullopt;
  return Mask{seen.base, stack->offsets, seen.strides[rows]};
}

/// The columns that blocks of rows need under a constant mask: up to the last one that some row sees. A row that sees
/// none spreads over all (or is NaN).
std::vector<std::int64_t> needed_columns(const Mask& mask, const float* values, std::int64_t rows,
                                         std::int64_t columns) {
  std::vector<std::int64_t> needed(static_cast<std::size_t>((rows + kRowBlock - 1) / kRowBlock), 0);
  std::vector<std::int64_t> distinct = mask.offsets;
  std::ranges::sort(distinct);
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  for (const std::int64_t offset : distinct)
    for (std::int64_t r = 0; r < rows; ++r) {
      const float* row = values + offset + r * mask.row_stride;
      std::int64_t last = columns;
      while (last > 0 && row[last - 1] < kMasked) --last;
      std::int64_t& most = needed[static_cast<std::size_t>(r / kRowBlock)];
      most = std::max(most, last == 0 ? columns : last);
    }
  return needed;
}

}  // namespace

bool compile_attention(ProgramBuilder& builder, const Group& group) {
  const Network& net = builder.network();
  const auto pattern = match_attention(net, group.nodes.back());
  if (!pattern || !builder.is_float(group.output)) return false;
  const Shape& scores = net.tensor(net.node(pattern->scores).outputs[0]).shape;
  const Shape &y = net.tensor(group.output).shape, &q = net.tensor(pattern->q).shape;
  const Dims stack = stack_dims(y);
  if (stack != stack_dims(scores) || net.tensor(pattern->k).shape.size() < 2 || net.tensor(pattern->v).shape.size() < 2)
    return false;
  std::optional<Mask> mask;
  if (pattern->mask != kNoTensor && !(mask = mask_of(builder, pattern->mask, scores))) return false;

  AttentionStep::Plan plan{stack_of(builder, pattern->q, pattern->scores, stack),
                           stack_of(builder, pattern->k, pattern->scores, stack),
                           stack_of(builder, pattern->v, pattern->product, stack),
                           mask,
                           scores[scores.size() - 2],
                           scores.back(),
                           q.back(),
                           y.back(),
                           pattern->scale,
                           {scores.back()},
                           {},
                           0};
  if (mask && builder.constant(pattern->mask))
    plan.needed =
        needed_columns(*mask, builder.constant(pattern->mask)->values<float>().data(), plan.rows, plan.columns);
  // Heads lie side by side in a row, as the Transpose behind every attention wants them.
  Dims order(y.size()), memory;
  for (std::size_t d = 0; d < order.size(); ++d) order[d] = static_cast<std::int64_t>(d);
  if (y.size() > 3) std::swap(order[order.size() - 2], order[order.size() - 3]);
  for (const std::int64_t d : order) memory.push_back(y[static_cast<std::size_t>(d)]);
  const ValueId target = builder.make(DType::f32, memory);
  const StridedOperand result = whole_operand({.value = target}, memory).permuted(order);
  const MatrixStack places = *MatrixStack::of(result, stack);
  plan.targets = places.offsets;
  plan.target_leading = places.leading;

  std::vector<Operand> reads{plan.q.base, plan.k.base, plan.v.base};
  if (mask) reads.push_back(mask->base);
  const std::int64_t height = plan.needed.size() == 1 ? plan.rows : kRowBlock;
  const ValueId scratch = builder.make(DType::f32, {height, plan.columns});
  builder.add(std::make_unique<AttentionStep>(std::move(plan), scratch, target), reads, {target, scratch});
  builder.define_strided(group.output, result);
  return true;
}

}  // namespace bitplan
