#include "eval/kernels/element_bias.hpp"

namespace bitplan {

namespace {

class ElementBiasStep final : public Step {
 public:
  struct Work {
    LayerId layer;
    ValueId y;
    std::size_t samples, elements;  ///< of a sample, padding included
    ValueId bias;                   ///< in the layout of y; none where that is row-major
    dnnl::reorder reorder;
    Layout scratch;  ///< of the reorder
  };
  explicit ElementBiasStep(Work work) : work_(std::move(work)) {}

  void run(Frame& frame) const override {
    const float* bias = brought_to_layout(frame);
    auto* y = reinterpret_cast<float*>(frame.write(work_.y));
    for (std::size_t s = 0; s < work_.samples; ++s, y += work_.elements)
      for (std::size_t e = 0; e < work_.elements; ++e) y[e] += bias[e];
  }

 private:
  const float* brought_to_layout(Frame& frame) const {
    const dnnl::memory& plain = frame.weight(work_.layer).elements;
    assert(plain && "the pattern asks for biases by element");
    if (work_.bias == kNoValue) return static_cast<const float*>(plain.get_data_handle());
    work_.reorder.execute(frame.stream, {{DNNL_ARG_FROM, plain},
                                         {DNNL_ARG_TO, frame.memories[static_cast<std::size_t>(work_.bias)]},
                                         {DNNL_ARG_SCRATCHPAD, dnnl::memory(work_.scratch, frame.program.engine)}});
    return reinterpret_cast<const float*>(frame.write(work_.bias));
  }

  Work work_;
};

}  // namespace

void add_element_bias(ProgramBuilder& builder, LayerId layer, ValueId y) {
  const Layout layout = builder.value(y).layout;
  Dims dims = dims_of(layout);
  const auto samples = static_cast<std::size_t>(builder.network().batch);
  dims[0] /= builder.network().batch;
  const Layout sample = layout.submemory_desc(dims, Dims(dims.size(), 0)), plain = plain_layout(dims);
  assert(sample.get_size() * samples == layout.get_size() && "samples lie one after the other");
  ElementBiasStep::Work work{layer, y, samples, sample.get_size() / sizeof(float), kNoValue, {}, {}};
  std::vector<ValueId> writes{y};
  if (!builder.value(y).plain) {
    const dnnl::reorder::primitive_desc pd(builder.engine(), plain, builder.engine(), sample, workspace_attributes());
    work.reorder = dnnl::reorder(pd);
    work.bias = builder.make(sample);
    work.scratch = pd.scratchpad_desc();
    writes.push_back(work.bias);
  }
  builder.add(std::make_unique<ElementBiasStep>(std::move(work)), {{.value = y, .weight = layer}}, writes);
}

}  // namespace bitplan
