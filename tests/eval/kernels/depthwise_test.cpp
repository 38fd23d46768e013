// Depthwise convolutions that quantize as they go: the kernel on every instruction set against plain loops, and whole
// networks against their definition and against separate passes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "eval/kernels/depthwise_plane.hpp"
#include "tests/catch.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

DepthwiseShape shape_of(std::int64_t h, std::int64_t w, std::int64_t kernel, std::int64_t stride, std::int64_t top,
                        std::int64_t left, std::int64_t bottom, std::int64_t right) {
  DepthwiseShape s{.height = h,
                   .width = w,
                   .out_height = (h + top + bottom - kernel) / stride + 1,
                   .out_width = (w + left + right - kernel) / stride + 1,
                   .kernel_h = kernel,
                   .kernel_w = kernel,
                   .stride_h = stride,
                   .stride_w = stride,
                   .pad_top = top,
                   .pad_left = left};
  plan_strips(s);
  return s;
}

std::vector<float> normal(std::int64_t n, const std::string& name) {
  const Tensor t = random_tensor({n}, name);
  return {t.values<float>().begin(), t.values<float>().end()};
}

struct Data {
  std::vector<float> input, weights, bias;
  explicit Data(const DepthwiseShape& s)
      : input(normal(s.height * s.width * kDepthwiseBlock, "input")),
        weights(normal(s.kernel_h * s.kernel_w * kDepthwiseBlock, "weights")),
        bias(normal(kDepthwiseBlock, "bias")) {}
};

struct Bounds {
  float low = -kInfinity, high = kInfinity;
  DepthwiseFunction function = DepthwiseFunction::clamp;

  double operator()(double v) const {
    if (function == DepthwiseFunction::swish) return v / (1 + std::exp(-v));
    return std::clamp(v, static_cast<double>(low), static_cast<double>(high));
  }
};

std::vector<float> made(Isa isa, const DepthwiseShape& s, const Data& d, const Bounds& bounds,
                        const Affine* quantize = nullptr, const Affine* requantize = nullptr) {
  std::vector<float> output(static_cast<std::size_t>(s.out_height * s.out_width * kDepthwiseBlock), -77);
  std::vector<float> buffer(static_cast<std::size_t>(s.buffer_size()), 0.0F);
  const DepthwisePlane plane{d.input.data(), quantize,    d.weights.data(), d.bias.data(), bounds.function,
                             bounds.low,     bounds.high, requantize,       output.data()};
  // Twice: a plane must not leave anything behind for the next one.
  for (int i = 0; i < 2; ++i) depthwise_plane(isa, s, plane, buffer.data());
  return output;
}

double error(const DepthwiseShape& s, const Data& d, const Bounds& bounds, const std::vector<float>& output) {
  double most = 0;
  for (std::int64_t y = 0; y < s.out_height; ++y)
    for (std::int64_t x = 0; x < s.out_width; ++x)
      for (std::int64_t c = 0; c < kDepthwiseBlock; ++c) {
        double sum = static_cast<double>(d.bias[static_cast<std::size_t>(c)]);
        for (std::int64_t i = 0; i < s.kernel_h; ++i)
          for (std::int64_t j = 0; j < s.kernel_w; ++j) {
            const std::int64_t v = y * s.stride_h + i - s.pad_top, u = x * s.stride_w + j - s.pad_left;
            if (v < 0 || v >= s.height || u < 0 || u >= s.width) continue;
            sum +=
                static_cast<double>(d.weights[static_cast<std::size_t>((i * s.kernel_w + j) * kDepthwiseBlock + c)]) *
                static_cast<double>(d.input[static_cast<std::size_t>((v * s.width + u) * kDepthwiseBlock + c)]);
          }
        sum = bounds(sum);
        const float result = output[static_cast<std::size_t>((y * s.out_width + x) * kDepthwiseBlock + c)];
        most = std::max(most, std::abs(sum - static_cast<double>(result)));
      }
  return most;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Calls f(isa, shape) for awkward shapes on every instruction set: less than a piece, several strips, wide rows.
template <class F>
void each_case(const F& f) {
  struct Pads {
    std::int64_t top, left, bottom, right;
  };
  for (const Isa isa : usable_isas())
    for (const std::int64_t stride : {1, 2}) {
      for (const std::int64_t kernel : {1, 2, 3, 5, 7})
        for (const auto& p : {Pads{0, 0, 0, 0}, {1, 1, 1, 1}, {0, 1, 2, 0}, {2, 3, 1, 2}})
          for (const auto& [h, w] : {std::pair{1, 1}, {2, 3}, {4, 4}, {7, 7}, {9, 6}, {15, 17}, {24, 33}, {5, 90}})
            if (h + p.top + p.bottom >= kernel && w + p.left + p.right >= kernel)
              f(isa, shape_of(h, w, kernel, stride, p.top, p.left, p.bottom, p.right));
    }
}

constexpr Affine kFine{0.0173F, 119, 0, 255}, kCoarse{0.31F, 3, 0, 15};

/// x -> depthwise -> Relu or Clip -> 1x1, all wide tensors sites.
struct Case {
  Shape input{2, 19, 9, 11};
  std::int64_t kernel = 3, stride = 1;
  std::vector<std::int64_t> pads{1, 1, 1, 1};
  std::string function = "Relu";
  bool bias = true;
};

std::shared_ptr<const Network> network_of(const Case& c) {
  Builder b;
  const std::int64_t channels = c.input[1];
  const TensorId x = b.op("Relu", {b.conv(b.input(c.input), channels, {1, 1, 0, 1})});
  const TensorId w = b.random({channels, 1, c.kernel, c.kernel}, 0.4);
  std::vector<TensorId> inputs{x, w};
  if (c.bias) inputs.push_back(b.random({channels}, 0.1));
  TensorId y =
      b.layer(b.op("Conv", inputs,
                   {{"strides", std::vector<std::int64_t>{c.stride, c.stride}}, {"pads", c.pads}, {"group", channels}}),
              x, w);
  if (c.function == "Clip")
    y = b.op("Clip", {y, b.constant(Tensor::of<float>({}, std::vector<float>{0})),
                      b.constant(Tensor::of<float>({}, std::vector<float>{1.5F}))});
  else if (c.function == "Swish")
    y = b.op("Mul", {y, b.op("Sigmoid", {y})});
  else if (!c.function.empty())
    y = b.op(c.function, {y});
  return b.finish({b.conv(y, 8, {1, 1, 0, 1})});
}

std::vector<Case> cases() {
  return {{},
          {.input = {1, 16, 7, 7}, .stride = 2},
          {.input = {3, 33, 4, 4}, .kernel = 5, .pads = {2, 2, 2, 2}, .function = "Clip"},
          {.input = {2, 24, 10, 13}, .stride = 2, .pads = {0, 0, 1, 1}, .function = ""},
          {.input = {2, 40, 6, 40}, .kernel = 2, .pads = {0, 1, 1, 0}, .bias = false},
          {.input = {2, 32, 5, 5}, .function = "HardSwish"},
          {.input = {2, 20, 8, 6}, .kernel = 5, .pads = {2, 2, 2, 2}, .function = "Swish"},
          {.input = {2, 32, 5, 5}, .function = "Elu"}};
}

Quantization quantized(const Network& net) {
  Quantization q;
  for (const Site& site : net.sites)
    if (site.kind == Site::Kind::activation) q.activations[site.id] = Affine{0.05F, 60, 0, 255};
  return q;
}

}  // namespace

TEST_CASE("a depthwise plane is the sum of its definition, for all shapes and instruction sets") {
  double most = 0;
  each_case([&](Isa isa, const DepthwiseShape& s) {
    const Data d(s);
    most = std::max(most, error(s, d, {}, made(isa, s, d, {})));
    most = std::max(most, error(s, d, {0, 1}, made(isa, s, d, {0, 1})));
    const Bounds swish{.function = DepthwiseFunction::swish};
    most = std::max(most, error(s, d, swish, made(isa, s, d, swish)));
  });
  CHECK(most < 2e-5);
}

TEST_CASE("quantizing in a depthwise plane equals passes before and after it to the bit") {
  std::size_t different = 0;
  each_case([&](Isa isa, const DepthwiseShape& s) {
    Data d(s);
    d.input[0] = -0.0F, d.input[1] = 1e30F, d.input[2] = -1e30F, d.input[3] = kFine.scale * 2.5F;
    const Bounds bounds{-2, 3};
    Data passed = d;
    fake_quantize(kFine, passed.input, passed.input);
    std::vector<float> wanted = made(isa, s, passed, bounds);
    different += !same_bits(wanted, made(isa, s, d, bounds, &kFine));
    fake_quantize(kCoarse, wanted, wanted);
    different += !same_bits(wanted, made(isa, s, d, bounds, &kFine, &kCoarse));
    different += !same_bits(wanted, made(isa, s, passed, bounds, nullptr, &kCoarse));
  });
  CHECK(different == 0);
}

TEST_CASE("NaN in the input of a depthwise plane is NaN in all outputs that it reaches, and nowhere else") {
  for (const Isa isa : usable_isas()) {
    const DepthwiseShape s = shape_of(6, 6, 3, 1, 1, 1, 1, 1);
    Data d(s);
    d.input[(2 * 6 + 3) * 16 + 5] = std::numeric_limits<float>::quiet_NaN();
    for (const Affine* q : {static_cast<const Affine*>(nullptr), &kFine}) {
      const std::vector<float> y = made(isa, s, d, {0, 6}, q, q);
      for (std::int64_t i = 0; i < 6 * 6 * 16; ++i) {
        const std::int64_t row = i / 96, column = i / 16 % 6, channel = i % 16;
        const bool reached = std::abs(row - 2) <= 1 && std::abs(column - 3) <= 1 && channel == 5;
        CHECK(std::isnan(y[static_cast<std::size_t>(i)]) == reached);
      }
    }
  }
}

TEST_CASE("networks with depthwise convolutions equal their definition, in float and quantized") {
  for (const Case& c : cases()) {
    CAPTURE(c.input, c.kernel, c.stride, c.function);
    const auto net = network_of(c);
    const Executor executor(net);
    const auto inputs = random_inputs(*net);
    CHECK(distance(run(executor, inputs)[0], by_definition(*net, inputs)[0]) < 1e-5);
    // A level apart somewhere, where a sum lies between two levels: sums are rounded differently.
    const Quantization q = quantized(*net);
    CHECK(distance(run(executor, inputs, q)[0], by_definition(*net, inputs, q)[0]) < 0.02);
  }
}

TEST_CASE("a tap sees the float values around a depthwise convolution, and changes nothing") {
  for (const Case& c : cases()) {
    CAPTURE(c.input, c.kernel, c.stride, c.function);
    const auto net = network_of(c);
    const Executor executor(net);
    const auto inputs = random_inputs(*net);
    const Candidate candidate = quantized(*net).on(executor);
    const auto workspace = executor.make_workspace();
    executor.run(*workspace, inputs, candidate);
    const Tensor untapped = executor.output(*workspace, 0);
    std::size_t sites = 0, floats = 0;
    const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
      ++sites;
      std::vector<float> levels(values.size());
      fake_quantize(*candidate.activations[static_cast<std::size_t>(site)], values, levels);
      floats += !std::equal(values.begin(), values.end(), levels.begin());
    };
    executor.run(*workspace, inputs, candidate, &tap);
    const Tensor tapped = executor.output(*workspace, 0);
    CHECK(std::memcmp(tapped.bytes(), untapped.bytes(), tapped.byte_size()) == 0);
    CHECK(sites == net->sites.size() - net->weight_sites());
    CHECK(floats == sites);
  }
}

TEST_CASE("a tensor that a depthwise convolution and others read stays float for the others") {
  Builder b;
  const TensorId x = b.op("Relu", {b.conv(b.input({2, 16, 8, 8}), 16, {1, 1, 0, 1})});
  const TensorId y = b.conv(x, 16, {3, 1, 1, 16}), z = b.conv(x, 16, {5, 1, 2, 16});
  const TensorId only = b.op("Add", {b.conv(b.op("Add", {y, z}), 16, {3, 1, 1, 16}), x});
  const auto net = b.finish({only, y, x});
  const Executor executor(net);
  const auto inputs = random_inputs(*net);
  const Quantization q = quantized(*net);
  const auto expected = by_definition(*net, inputs, q);
  const auto outputs = run(executor, inputs, q);
  for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(distance(outputs[i], expected[i]) < 0.02);
  CHECK(distance(outputs[2], expected[2]) < 1e-5);
}

}  // namespace bitplan::test
