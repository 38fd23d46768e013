#pragma once

#include <algorithm>
#include <cstddef>

#include "eval/kernels/program.hpp"

namespace bitplan {

/// What the kernel that makes an activation site does with values that it has just made and that are still in cache:
/// quantizes them where the candidate says so, which spares a pass over memory (SiteStep).
///
/// It does not where a tap or a stored prefix wants the float values first: then that pass is made after all.
struct OnStore {
  SiteId site = -1;                        ///< -1: nothing to do
  ValueId from = kNoValue, to = kNoValue;  ///< the same where nobody reads the float values

  explicit operator bool() const { return site >= 0; }
  /// The quantizer of this run, null: leave the values. To be asked once in a run: the pass is told.
  const Affine* begin(Frame& frame) const;
  /// Elements [first, first + count) of `from` are there.
  void finish(const Affine& quantizer, const Frame& frame, std::size_t first, std::size_t count) const;

  /// Calls make(first, count) for parts of `elements`, multiples of `unit`, that stay in the L1 cache until they are
  /// quantized; for all at once where there is nothing to quantize.
  template <class Make>
  void in_parts(Frame& frame, std::size_t elements, std::size_t unit, const Make& make) const {
    constexpr std::size_t kPart = 4096;
    const Affine* quantizer = begin(frame);
    if (!quantizer) return make(std::size_t{0}, elements);
    const std::size_t part = std::max<std::size_t>(kPart / unit, 1) * unit;
    for (std::size_t first = 0; first < elements; first += part) {
      const std::size_t count = std::min(part, elements - first);
      make(first, count);
      finish(*quantizer, frame, first, count);
    }
  }
};

}  // namespace bitplan
