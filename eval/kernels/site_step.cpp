#include "eval/kernels/site_step.hpp"

#include <utility>

#include "eval/kernels/builder.hpp"

namespace bitplan {

SiteStep::SiteStep(const dnnl::engine& engine, SiteId site, ValueId value, ValueId quantized, const Layout& layout)
    : engine_(engine),
      site_(site),
      value_(value),
      quantized_(quantized),
      elements_(layout.get_size() / sizeof(float)),
      plain_(plain_layout(dims_of(layout))) {
  if (layout == plain_) return;
  const dnnl::reorder::primitive_desc pd(engine, layout, engine, plain_, workspace_attributes());
  to_plain_ = dnnl::reorder(pd);
  scratch_ = pd.scratchpad_desc();
}

void SiteStep::run(Frame& frame) const {
  if (frame.tap) show(frame);
  if (std::exchange(frame.stored, -1) == site_) return;
  if (frame.program.quantized_by_reader[static_cast<std::size_t>(site_)]) return;
  if (const SiteQuantizer* parts = frame.candidate.parts(site_)) return quantize(*parts, frame);
  const Affine* quantizer = frame.quantizer(site_);
  if (!quantizer) return;
  const auto* from = reinterpret_cast<const float*>(frame.read({.value = value_}));
  auto* to = reinterpret_cast<float*>(frame.write(quantized_));
  fake_quantize(*quantizer, {from, elements_}, {to, elements_});
}

void SiteStep::show(Frame& frame) const {
  if (!to_plain_) {
    (*frame.tap)(site_, {reinterpret_cast<const float*>(frame.read({.value = value_})), elements_});
    return;
  }
  bring_to_plain(frame);
  (*frame.tap)(site_, frame.tapped);
}

void SiteStep::bring_to_plain(Frame& frame) const {
  frame.tapped.resize(plain_.get_size() / sizeof(float));
  dnnl::memory plain(plain_, engine_, frame.tapped.data());
  dnnl::memory scratch(scratch_, engine_);
  const auto& from = frame.memories[static_cast<std::size_t>(value_)];
  to_plain_.execute(frame.stream, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, plain}, {DNNL_ARG_SCRATCHPAD, scratch}});
}

void SiteStep::quantize(const SiteQuantizer& parts, Frame& frame) const {
  if (!to_plain_) {
    const auto* from = reinterpret_cast<const float*>(frame.read({.value = value_}));
    return fake_quantize(parts, {from, elements_}, {reinterpret_cast<float*>(frame.write(quantized_)), elements_});
  }
  bring_to_plain(frame);
  fake_quantize(parts, frame.tapped, frame.tapped);
  dnnl::memory plain(plain_, engine_, frame.tapped.data());
  dnnl::memory to = frame.memories[static_cast<std::size_t>(quantized_)];  // a handle
  dnnl::reorder(plain, to).execute(frame.stream, plain, to);               // padding becomes 0
}

}  // namespace bitplan
