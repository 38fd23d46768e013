#pragma once

#include <vector>

#include "eval/kernels/program.hpp"

namespace bitplan {

/// A box of one array that is copied into another, in elements of logical indices: for each dimension d and
/// 0 <= i < count[d], target[to[d] + i] = source[from[d] + i * step[d]]. A step of 0 repeats.
struct Region {
  Dims count, from, step, to;
};

/// One nest of loops over physical positions, in elements; the last loop is innermost.
struct CopyJob {
  struct Loop {
    std::int64_t count, from, to;
  };
  std::int64_t from = 0, to = 0;  ///< of the first element
  std::vector<Loop> loops;
};

/// The jobs that copy a region. A blocked dimension is cut where a block of source or target ends, unless both run
/// block by block together. Nothing when a blocked dimension has a step other than 1.
std::optional<std::vector<CopyJob>> copy_jobs(const Placement& source, const Placement& target, const Region& region);

/// Orders loops by the target's strides, joins those that run on in both arrays, and puts one that is dense in the
/// source beside the innermost one, so that both arrays are read and written line by line.
void tidy_loops(std::vector<CopyJob::Loop>& loops);

/// Copies regions of several sources into one value, which is first filled with `fill` where regions and padding leave
/// gaps. Elements of 1, 2, 4 or 8 bytes.
class StridedCopyStep final : public Step {
 public:
  struct Part {
    Operand source;
    std::vector<CopyJob> jobs;
  };
  StridedCopyStep(std::vector<Part> parts, ValueId target, std::size_t element_bytes, std::optional<float> fill)
      : parts_(std::move(parts)), target_(target), element_bytes_(element_bytes), fill_(fill) {}
  void run(Frame& frame) const override;

 private:
  std::vector<Part> parts_;
  ValueId target_;
  std::size_t element_bytes_;
  std::optional<float> fill_;  ///< floats only
};

}  // namespace bitplan
