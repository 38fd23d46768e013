#pragma once

#include "eval/kernels/program.hpp"

namespace bitplan {

/// The end of an activation that layers read: shows its float values to the tap, then fake-quantizes them as the
/// candidate says, from `value` to `quantized` (which may be the same). All of the buffer is quantized, padding
/// included: the zero point stands for 0 exactly, so padding stays 0.
class SiteStep final : public Step {
 public:
  SiteStep(const dnnl::engine& engine, SiteId site, ValueId value, ValueId quantized, const Layout& layout);
  void run(Frame& frame) const override;

 private:
  void show(Frame& frame) const;

  dnnl::engine engine_;
  SiteId site_;
  ValueId value_, quantized_;
  std::size_t elements_;  ///< padding included
  Layout plain_;
  dnnl::reorder to_plain_;  ///< null: plain already
  Layout scratch_;
};

}  // namespace bitplan
