#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/evaluator.hpp"
#include "model/site_channels.hpp"
#include "quant/observers/channel_observer.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {

namespace {

using Kind = Granularity::Kind;

std::shared_ptr<const Network> with_work(const std::shared_ptr<const Network>& given) {
  Network net = *given;
  for (Layer& layer : net.layers) {
    layer.channel_axis = layer.op == "Conv" ? 0 : 1;
    layer.macs = 100 * layer.weights;
  }
  return std::make_shared<const Network>(net);
}

/// Convolutions, a depthwise one with Relu before and behind it (whose kernel quantizes as it goes), tensors that sums
/// read besides layers, channels that fill no block; a linear end.
std::shared_ptr<const Network> images(std::int64_t batch) {
  Builder b;
  TensorId x = b.conv(b.input({batch, 3, 6, 6}), 12);
  const TensorId wide = b.op("Relu", {b.conv(x, 32, {1, 1, 0, 1})});
  const TensorId deep = b.op("Relu", {b.conv(wide, 32, {3, 1, 1, 32})});
  x = b.op("Add", {b.conv(deep, 12, {1, 1, 0, 1}), x});
  const TensorId flat = b.op("Flatten", {b.op("GlobalAveragePool", {b.conv(x, 10)})}), w = b.random({10, 5});
  return with_work(b.finish({b.layer(b.op("Gemm", {flat, w, b.random({5})}), flat, w)}));
}

/// A linear layer, a product of two computed tensors whose operands are sites, a residual sum.
std::shared_ptr<const Network> tokens(std::int64_t batch) {
  Builder b;
  const auto linear = [&b](TensorId x, std::int64_t in, std::int64_t out) {
    const TensorId w = b.random({in, out}, 0.4);
    return b.layer(b.op("MatMul", {x, w}), x, w);
  };
  const TensorId x = b.input({batch, 7, 10});
  const TensorId q = linear(x, 10, 10);
  const TensorId k = b.op("Transpose", {linear(x, 10, 10)}, {{"perm", std::vector<std::int64_t>{0, 2, 1}}});
  const TensorId scores = b.op("MatMul", {q, k});
  const TensorId mixed = b.op("Add", {x, linear(b.op("MatMul", {scores, x}), 10, 10)});
  const auto net = b.finish({linear(mixed, 10, 5)});
  Network with_product = *net;
  Site site;
  site.kind = Site::Kind::activation;
  site.id = static_cast<SiteId>(with_product.sites.size());
  site.tensor = q;
  site.products = {with_product.tensor(scores).producer};
  site.name = "q";
  site.elements = 70;
  with_product.sites.push_back(site);
  return with_work(std::make_shared<const Network>(with_product));
}

std::vector<SiteId> activation_sites(const Network& net) {
  std::vector<SiteId> sites;
  for (const Site& site : net.sites)
    if (site.kind == Site::Kind::activation) sites.push_back(site.id);
  return sites;
}

/// A coarse quantizer of each kind, for values around `high`.
SiteQuantizer coarse(const Network& net, SiteId site, Kind kind, bool outliers, float high) {
  const SiteChannels channels = site_channels(net, site);
  SiteQuantizer q{
      .kind = kind, .axis = channels.axis, .channels = channels.channels, .inner = channels.inner, .bits = 3};
  if (outliers) q.float_channels = {0, static_cast<std::int32_t>(channels.channels - 1)};
  const auto part = [&](std::int64_t c) {
    return affine_from_range(-high * (1 + 0.1F * static_cast<float>(c % 5)), high, 3, false, false);
  };
  for (std::int64_t c = 0; c < (kind == Kind::token ? 0 : kind == Kind::tensor ? 1 : channels.channels); ++c)
    q.parts.push_back(part(c));
  return q;
}

std::vector<Tensor> inputs_of(const Network& net) { return {random_tensor(net.tensor(net.inputs[0]).shape, "parts")}; }

Choice activation(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::activations(), ChoiceDefaults::activations());
}

/// Normal values with one loud channel, as x0.npy, and labels.
struct Samples {
  TempFolder dir;
  std::int64_t count;
  Tensor x;
  Samples(const std::string& name, const Network& net, std::int64_t n) : dir("parts_" + name), count(n) {
    Shape shape = net.tensor(net.inputs[0]).shape;
    shape[0] = n;
    x = random_tensor(shape, name);
    const std::int64_t channels = shape.size() == 4 ? shape[1] : shape.back();
    const std::int64_t inner = shape.size() == 4 ? shape[2] * shape[3] : 1;
    for (std::int64_t i = 0; i < element_count(shape); ++i)
      if (i / inner % channels == 1) x.writable<float>()[static_cast<std::size_t>(i)] *= 8;
    write_npy(dir.path / "x.npy", x);
  }
  DataSpec spec() const { return spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path); }
};

EvaluatorSpec spec_with(const Samples& samples, int threads = 1) {
  EvaluatorSpec spec;
  spec.calibration = spec.selection = samples.spec();
  spec.threads = threads;
  return spec;
}

struct Choices {
  std::shared_ptr<ChoiceTable> table = std::make_shared<ChoiceTable>();
  std::vector<ChoiceId> activations;
  Choices() {
    for (const std::string text : {"int8", "int4:channel", "int4:token", "int4+outliers10", "int4:token+outliers10",
                                   "int3:channel", "int3+outliers10"})
      activations.push_back(table->add(activation(text)));
  }
};

std::vector<LossSums> all(Evaluator& evaluator, const Assignment& assignment) {
  return evaluator.measure(assignment, Role::selection, {0, evaluator.chunks(Role::selection)});
}

/// Every activation site of the network gets the choice.
Assignment uniform(const Network& net, ChoiceId choice) {
  Assignment assignment(net.sites.size(), kFloat);
  for (const SiteId site : activation_sites(net)) assignment[static_cast<std::size_t>(site)] = choice;
  return assignment;
}

/// The tensor of a site in the float network, of each chunk without padding.
std::vector<std::vector<float>> tapped(const Network& net, const Samples& samples, SiteId wanted) {
  const Executor executor(std::make_shared<const Network>(net));
  const auto workspace = executor.make_workspace();
  const std::size_t width = samples.x.byte_size() / static_cast<std::size_t>(samples.count);
  std::vector<std::vector<float>> chunks;
  for (std::int64_t first = 0; first < samples.count; first += net.batch) {
    Tensor input(DType::f32, net.tensor(net.inputs[0]).shape);
    const auto valid = static_cast<std::size_t>(std::min(net.batch, samples.count - first));
    std::memcpy(input.mutable_bytes(), samples.x.bytes() + width * static_cast<std::size_t>(first), valid * width);
    const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
      const auto part = values.first(values.size() / static_cast<std::size_t>(net.batch) * valid);
      if (site == wanted) chunks.emplace_back(part.begin(), part.end());
    };
    executor.run(*workspace, std::span(&input, 1), {}, &tap);
  }
  return chunks;
}

}  // namespace

TEST_CASE("layers read a site quantized by parts, sums read its float values") {
  for (const auto& net : {images(2), tokens(2)})
    for (const bool fuse : {true, false}) {
      const Executor executor(net, fuse);
      const auto inputs = inputs_of(*net);
      const auto floats = by_definition(*net, inputs);
      for (const SiteId site : activation_sites(*net))
        for (const Kind kind : {Kind::tensor, Kind::channel, Kind::token})
          for (const bool outliers : {false, true}) {
            if (kind == Kind::channel && outliers) continue;
            CAPTURE(net->sites.size(), fuse, site, static_cast<int>(kind), outliers);
            Quantization q;
            q.by_parts.emplace(site, coarse(*net, site, kind, outliers, 2));
            const auto made = run(executor, inputs, q);
            const auto expected = by_definition(*net, inputs, q);
            CHECK(distance(made[0], expected[0]) < 5e-3);  // a value at a tie may go the other way
            // Of 3 channels one is left, whose value is its token's range.
            const bool exact = kind == Kind::token && outliers && site_channels(*net, site).channels == 3;
            if (!exact) CHECK(distance(floats[0], expected[0]) > 1e-2);
          }
    }
}

TEST_CASE("an input quantized by parts gives to the bit what the float network makes of the quantized input") {
  for (const auto& net : {images(2), tokens(2)}) {
    const Executor executor(net);
    const SiteId site = net->input_site[0];
    const auto inputs = inputs_of(*net);
    for (const Kind kind : {Kind::tensor, Kind::channel, Kind::token}) {
      Quantization q;
      q.by_parts.emplace(site, coarse(*net, site, kind, kind != Kind::channel, 2));
      std::vector<float> values(inputs[0].values<float>().begin(), inputs[0].values<float>().end());
      fake_quantize(q.by_parts.at(site), values, values);
      if (net->tensor(net->inputs[0]).consumers.size() > 1) continue;  // others read the float values
      const auto expected = run(executor, {Tensor::of(inputs[0].shape(), values)});
      CHECK(distance(run(executor, inputs, q)[0], expected[0]) == 0);
    }
  }
}

TEST_CASE("sites by parts and sites of one quantizer are mixed freely, integers included") {
  const auto net = images(2);
  const Executor executor(net);
  const auto inputs = inputs_of(*net);
  const auto sites = activation_sites(*net);
  for (std::size_t parted = 0; parted < sites.size(); ++parted) {
    Quantization q;
    for (std::size_t i = 0; i < sites.size(); ++i) {
      if (i == parted)
        q.by_parts.emplace(sites[i], coarse(*net, sites[i], Kind::token, false, 2));
      else
        q.activations.emplace(sites[i], affine_from_range(-6, 6, 8, false, false));
    }
    CHECK(distance(run(executor, inputs, q)[0], by_definition(*net, inputs, q)[0]) < 0.02);
  }
}

TEST_CASE("the evaluator's quantizers by channel and with outliers are those of observers of the float activations") {
  for (const auto& net : {images(4), tokens(4)}) {
    const Samples samples("calibration", *net, 10);  // the last chunk is padded
    const Choices choices;
    for (const std::string observer : {"mse", "minmax", "moving_average"}) {
      auto spec = spec_with(samples, 2);
      spec.observer.name = observer;
      const Evaluator evaluator(net, choices.table, spec);
      for (const SiteId site : activation_sites(*net)) {
        const SiteChannels along = site_channels(*net, site);
        const auto chunks = tapped(*net, samples, site);
        ChannelObserver by_channel(spec.observer, along.channels);
        std::vector<float> largest(static_cast<std::size_t>(along.channels));
        for (const auto& chunk : chunks) {
          by_channel.observe(chunk, along.inner);
          for (std::size_t i = 0; i < chunk.size(); ++i) {
            float& most = largest[i / static_cast<std::size_t>(along.inner) % largest.size()];
            most = std::max(most, std::abs(chunk[i]));
          }
        }
        CHECK(evaluator.site_quantizer(site, choices.activations[1]).parts == by_channel.quantizers(4, false, false));
        CHECK(evaluator.site_quantizer(site, choices.activations[5]).parts == by_channel.quantizers(3, false, false));
        const auto left_out = largest_channels(largest, activation("int4+outliers10"));
        CHECK(evaluator.site_quantizer(site, choices.activations[4]).float_channels == left_out);
        const auto rest = find_observer(observer).make(spec.observer);
        for (const auto& chunk : chunks) {
          std::vector<float> values;
          for (std::size_t i = 0; i < chunk.size(); ++i)
            if (!std::ranges::count(
                    left_out, static_cast<std::int32_t>(i / static_cast<std::size_t>(along.inner) % largest.size())))
              values.push_back(chunk[i]);
          rest->observe(values);
        }
        const auto with_outliers = evaluator.site_quantizer(site, choices.activations[3]);
        CHECK(with_outliers.float_channels == left_out);
        CHECK(with_outliers.parts == std::vector{rest->quantizer(4, false, false)});
        CHECK(evaluator.site_quantizer(site, choices.activations[0]).parts ==
              std::vector{evaluator.activation_quantizer(site, choices.activations[0])});
      }
    }
  }
}

TEST_CASE("an evaluation by parts is the losses of the executor's outputs") {
  for (const auto& net : {images(4), tokens(4)}) {
    const Samples samples("losses", *net, 10);
    const Choices choices;
    Evaluator evaluator(net, choices.table, spec_with(samples));
    const Executor executor(net);
    const auto workspace = executor.make_workspace();
    Rng rng(4, "parts");
    for (int round = 0; round < 8; ++round) {
      Assignment assignment(net->sites.size(), kFloat);
      Candidate candidate;
      candidate.activations.resize(net->sites.size());
      candidate.by_parts.resize(net->sites.size());
      for (const SiteId site : activation_sites(*net)) {
        const auto s = static_cast<std::size_t>(site);
        assignment[s] = choices.activations[rng.below(choices.activations.size())];
        const auto q = evaluator.site_quantizer(site, assignment[s]);
        if (q.is_plain())
          candidate.activations[s] = q.parts.front();
        else
          candidate.by_parts[s] = std::make_shared<const SiteQuantizer>(q);
      }
      const auto measured = all(evaluator, assignment);
      const std::size_t width = samples.x.byte_size() / 10;
      const auto classes = 5U;
      for (std::size_t chunk = 0; chunk < 3; ++chunk) {
        Tensor input(DType::f32, net->tensor(net->inputs[0]).shape);
        const std::size_t valid = chunk == 2 ? 2 : 4;
        std::memcpy(input.mutable_bytes(), samples.x.bytes() + 4 * chunk * width, valid * width);
        executor.run(*workspace, std::span(&input, 1), {});
        const auto z = executor.output(*workspace, 0);
        executor.run(*workspace, std::span(&input, 1), candidate);
        const auto y = executor.output(*workspace, 0);
        LossSums expected;
        const std::size_t row = z.values<float>().size() / 4;
        for (std::size_t i = 0; i < valid; ++i)
          add_sample(expected, z.values<float>().subspan(i * row, row), y.values<float>().subspan(i * row, row),
                     classes, std::span<const std::int64_t>());
        CHECK(measured[chunk] == expected);
      }
    }
  }
}

TEST_CASE(
    "candidates by parts give the same to the bit with and without stored activations, on any number of threads") {
  for (const auto& net : {images(4), tokens(4)}) {
    const Samples samples("prefix", *net, 22);
    const Choices choices;
    auto plain = spec_with(samples);
    plain.cache_bytes = 0;
    Evaluator without(net, choices.table, plain), with(net, choices.table, spec_with(samples, 3));
    Rng rng(8, "prefix by parts");
    const auto sites = activation_sites(*net);
    Assignment assignment = uniform(*net, choices.activations[2]);
    std::vector<std::vector<LossSums>> seen;
    for (int round = 0; round < 25; ++round) {
      assignment[static_cast<std::size_t>(sites[rng.below(sites.size())])] =
          choices.activations[rng.below(choices.activations.size())];
      seen.push_back(all(with, assignment));
      CHECK(all(without, assignment) == seen.back());
    }
    CHECK(with.prefix_counts().hits > 10);
    CHECK(without.prefix_counts().finds == 0);
    CHECK(seen.front() != seen.back());
  }
}

TEST_CASE("tokens need no calibration data, channels and outliers do") {
  const auto net = images(4);
  const Samples samples("uncalibrated", *net, 4);
  const Choices choices;
  auto spec = spec_with(samples);
  spec.calibration = {};
  Evaluator evaluator(net, choices.table, spec);
  CHECK_NOTHROW(all(evaluator, uniform(*net, choices.activations[2])));
  for (const std::size_t c : {0U, 1U, 3U, 4U})
    CHECK_THROWS_WITH(all(evaluator, uniform(*net, choices.activations[c])), "data.calibration is not given");
}

TEST_CASE("a site whose readers see other channels is refused by channel, token and outliers, its readers named") {
  Builder b;
  const TensorId x = b.input({2, 3, 6, 6}), w = b.random({6, 5});
  const TensorId y = b.conv(x, 4);
  const auto net = b.finish({y, b.layer(b.op("MatMul", {x, w}), x, w)});
  const SiteId site = net->input_site[0];
  CHECK_FALSE(find_site_channels(*net, site));
  const std::string message =
      "activation 'x0' of shape 2x3x6x6 has no one axis of channels: axis 1 for 'Conv0' (Conv), axis 3 for 'MatMul1' "
      "(MatMul); only granularity tensor without outliers is possible here";
  CHECK_THROWS_WITH(site_channels(*net, site), message);
  const Samples samples("mixed", *net, 2);
  const Choices choices;
  Evaluator evaluator(net, choices.table, spec_with(samples));
  CHECK_NOTHROW(evaluator.site_quantizer(site, choices.activations[0]));
  for (std::size_t c = 1; c < choices.activations.size(); ++c)
    CHECK_THROWS_WITH(evaluator.site_quantizer(site, choices.activations[c]), message);
}

TEST_CASE("channels are what a layer sums over") {
  Builder b;
  const TensorId x = b.input({4, 6}), w = b.random({4, 5}), v = b.random({3, 4});
  const TensorId y = b.layer(b.op("Gemm", {x, w}, {{"transA", std::int64_t{1}}}), x, w);
  const TensorId z = b.layer(b.op("MatMul", {v, x}), x, v);
  const auto net = b.finish({y, z});
  CHECK(site_channels(*net, net->input_site[0]) == SiteChannels{0, 4, 6});
  const auto image = images(2);
  CHECK(site_channels(*image, image->input_site[0]) == SiteChannels{1, 3, 36});
  const auto text = tokens(2);
  CHECK(site_channels(*text, text->input_site[0]) == SiteChannels{2, 10, 1});
}

TEST_CASE("biases are compensated for activations by parts") {
  const auto net = images(4);
  const Samples samples("biases", *net, 8);
  const Choices choices;
  Evaluator evaluator(net, choices.table, spec_with(samples));
  const auto assignment = uniform(*net, choices.activations[5]);
  const Finish finished = evaluator.finish(assignment, {.bias = BiasPer::channel});
  const auto total = [](const std::vector<LossSums>& chunks) {
    LossSums sums;
    for (const auto& chunk : chunks) sums.add(chunk);
    return sums;
  };
  const auto before = total(all(evaluator, assignment));
  const auto after = total(evaluator.measure(assignment, Role::selection, {0, 2}, nullptr, &finished));
  CHECK(after.noise < before.noise);
}

}  // namespace bitplan::test
