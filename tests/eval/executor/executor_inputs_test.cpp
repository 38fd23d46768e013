// Network inputs that kernels read where the caller has them, without a copy into the arena.
#include <functional>

#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

using Ids = std::vector<TensorId>;
using Ints = std::vector<std::int64_t>;

struct Case {
  const char* what;
  std::function<Ids(Builder&, TensorId)> outputs;  ///< of the input
  int arrays;                                      ///< of the input's size that the arena needs; 0: depends on oneDNN
};

std::vector<Case> cases() {
  const auto softmax = [](Builder& b, TensorId x) { return b.op("Softmax", {x}, {{"axis", std::int64_t{-1}}}); };
  return {
      {"one kernel reads it", [=](Builder& b, TensorId x) { return Ids{softmax(b, x)}; }, 1},
      {"a chain of kernels, one in the memory of the other",
       [=](Builder& b, TensorId x) { return Ids{softmax(b, b.op("Erf", {b.op("Exp", {x})}))}; }, 1},
      {"two kernels read it",
       [=](Builder& b, TensorId x) {
         return Ids{softmax(b, x), b.op("Erf", {x})};
       },
       2},
      {"twice by one kernel",
       [](Builder& b, TensorId x) {
         return Ids{b.op("Pow", {x, x})};
       },
       1},
      {"an output as well: copied",
       [=](Builder& b, TensorId x) {
         return Ids{x, softmax(b, x)};
       },
       2},
      {"a view of it is an output: copied",
       [=](Builder& b, TensorId x) {
         return Ids{b.op("Reshape", {x, b.integers({4, -1})}), softmax(b, x)};
       },
       2},
      {"a view of it is read: copied",
       [=](Builder& b, TensorId x) {
         return Ids{softmax(b, b.op("Reshape", {x, b.integers({4, -1})}))};
       },
       1},
      {"one of oneDNN's primitives reads it too: copied",
       [=](Builder& b, TensorId x) {
         return Ids{softmax(b, x), b.op("Tanh", {x})};
       },
       2},
      {"a layer reads it too: copied",
       [=](Builder& b, TensorId x) {
         return Ids{softmax(b, x), b.conv(x, 4)};
       },
       0},
  };
}

}  // namespace

TEST_CASE("inputs are read where the caller has them if all their readers can, and never written") {
  for (const Case& c : cases()) {
    Builder b;
    const Shape shape{2, 4, 16, 16};
    const TensorId x = b.input(shape);
    const auto network = b.finish(c.outputs(b, x));
    const Executor executor(network);
    const auto workspace = executor.make_workspace();
    CAPTURE(c.what);
    if (c.arrays > 0)
      CHECK(executor.workspace_bytes() / (4 * static_cast<std::size_t>(element_count(shape))) ==
            static_cast<std::size_t>(c.arrays));
    for (const char* name : {"first", "second"}) {
      const std::vector<Tensor> inputs{random_tensor(shape, name)};
      executor.run(*workspace, inputs, {});
      CHECK(std::ranges::equal(inputs[0].values<float>(), random_tensor(shape, name).values<float>()));
      const std::vector<Tensor> wanted = by_definition(*network, inputs);
      for (std::size_t o = 0; o < wanted.size(); ++o) {
        const Tensor made = executor.output(*workspace, o);
        const auto made_values = made.values<float>(), wanted_values = wanted[o].values<float>();
        float most = 0;
        for (std::size_t i = 0; i < made_values.size(); ++i)
          if (!(std::isnan(made_values[i]) && std::isnan(wanted_values[i])))
            most = std::max(most, std::abs(made_values[i] - wanted_values[i]));
        CHECK(most < 1e-4F);
      }
    }
  }
}

}  // namespace bitplan::test
