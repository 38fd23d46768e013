#pragma once

#include "eval/kernels/program.hpp"

namespace bitplan {

/// The end of an activation that layers read: shows its float values to the tap, then fake-quantizes them as the
/// candidate says, from `value` to `quantized` (which may be the same). All of the buffer is quantized, padding
/// included: the zero point stands for 0 exactly, so padding stays 0.
///
/// A site quantized by parts (SiteQuantizer) is brought into plain row-major order for that, and back.
///
/// A kernel may spare that pass over memory: the one that makes the values (OnStore), or the only one that reads the
/// quantized ones (Program::quantized_by_reader).
class SiteStep final : public Step {
 public:
  SiteStep(const dnnl::engine& engine, SiteId site, ValueId value, ValueId quantized, const Layout& layout);
  void run(Frame& frame) const override;

 private:
  void show(Frame& frame) const;
  void quantize(const SiteQuantizer& parts, Frame& frame) const;
  /// The value in row-major order, in frame.tapped.
  void bring_to_plain(Frame& frame) const;

  dnnl::engine engine_;
  SiteId site_;
  ValueId value_, quantized_;
  std::size_t elements_;  ///< padding included
  Layout plain_;
  dnnl::reorder to_plain_;  ///< null: plain already
  Layout scratch_;
};

}  // namespace bitplan
