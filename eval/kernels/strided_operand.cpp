#include "eval/kernels/strided_operand.hpp"

#include <algorithm>
#include <cassert>

namespace bitplan {

namespace {

/// One loop over a view: `count` steps of `stride`.
struct Factor {
  std::int64_t count, stride;
};

/// The loops of a view from the outermost in, single steps left out.
std::vector<Factor> factors_of(const StridedOperand& view) {
  std::vector<Factor> factors;
  for (std::size_t d = 0; d < view.dims.size(); ++d) {
    const std::int64_t repeat = view.repeats[d];
    if (view.dims[d] / repeat != 1) factors.push_back({view.dims[d] / repeat, view.strides[d]});
    if (repeat != 1) factors.push_back({repeat, 0});
  }
  return factors;
}

/// One dimension that is grown loop by loop, innermost first.
struct Dimension {
  std::int64_t count = 1, stride = 0, repeat = 1;

  bool take(const Factor& outer) {
    const std::int64_t distinct = count / repeat;
    if (count == 1) {
      *this = {outer.count, outer.stride, 1};
    } else if (distinct == 1 || (stride == 0 && outer.stride != 0 && repeat == 1)) {
      *this = {count * outer.count, outer.stride, count};
    } else if (outer.stride == stride * distinct) {
      count *= outer.count;
    } else {
      return false;
    }
    return true;
  }
};

}  // namespace

bool StridedOperand::dense() const {
  return offset == 0 && std::ranges::all_of(repeats, [](std::int64_t r) { return r == 1; }) &&
         strides == plain_placement(dims).strides;
}

StridedOperand StridedOperand::permuted(const std::vector<std::int64_t>& order) const {
  StridedOperand result{base, offset, {}, {}, {}};
  for (const std::int64_t axis : order) {
    const auto d = static_cast<std::size_t>(axis);
    result.dims.push_back(dims[d]);
    result.strides.push_back(strides[d]);
    result.repeats.push_back(repeats[d]);
  }
  return result;
}

std::optional<StridedOperand> StridedOperand::sliced(const Dims& from, const Dims& step, const Dims& count) const {
  StridedOperand result = *this;
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (from[d] == 0 && step[d] == 1 && count[d] == dims[d]) continue;
    if (repeats[d] != 1) return std::nullopt;
    result.offset += from[d] * strides[d];
    result.strides[d] *= step[d];
    result.dims[d] = count[d];
  }
  return result;
}

std::optional<StridedOperand> StridedOperand::reshaped(const Shape& shape) const {
  std::vector<Factor> left = factors_of(*this);
  StridedOperand result{base, offset, shape, Dims(shape.size()), Dims(shape.size(), 1)};
  for (std::size_t d = shape.size(); d-- > 0;) {
    Dimension made;
    while (made.count < shape[d]) {
      assert(!left.empty());
      Factor factor = left.back();
      left.pop_back();
      const std::int64_t wanted = shape[d] / made.count;
      if (factor.count > wanted) {  // its outer part belongs to the next dimension
        if (factor.count % wanted != 0) return std::nullopt;
        left.push_back({factor.count / wanted, factor.stride * wanted});
        factor.count = wanted;
      }
      if (wanted % factor.count != 0 || !made.take(factor)) return std::nullopt;
    }
    result.strides[d] = made.stride;
    result.repeats[d] = made.repeat;
  }
  return result;
}

StridedOperand StridedOperand::expanded(const Shape& shape) const {
  const std::size_t added = shape.size() - dims.size();
  StridedOperand result{base, offset, shape, Dims(shape.size(), 0), Dims(shape.size(), 1)};
  for (std::size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] != shape[added + d]) continue;
    result.strides[added + d] = strides[d];
    result.repeats[added + d] = repeats[d];
  }
  return result;
}

CopyJob StridedOperand::copy_job() const {
  CopyJob job;
  job.from = offset;
  std::int64_t to = 1;
  const std::vector<Factor> factors = factors_of(*this);
  for (std::size_t i = factors.size(); i-- > 0; to *= factors[i].count)
    job.loops.push_back({factors[i].count, factors[i].stride, to});
  std::ranges::reverse(job.loops);
  tidy_loops(job.loops);
  return job;
}

StridedOperand whole_operand(const Operand& base, const Shape& shape) {
  return {base, 0, shape, plain_placement(shape).strides, Dims(shape.size(), 1)};
}

}  // namespace bitplan
