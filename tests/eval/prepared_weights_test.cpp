#include "eval/prepared_weights.hpp"

#include <cstring>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/npy.hpp"
#include "eval/evaluator.hpp"
#include "eval/moments/moment_passes.hpp"
#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

using Catch::Matchers::Contains;

Choice weight_choice(const std::string& text) {
  return parse_choice(text, ChoiceDefaults::weights(), ChoiceDefaults::weights());
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

bool same(const QuantizedWeight& a, const QuantizedWeight& b) {
  return a.codes == b.codes && same_bits(a.scales, b.scales) && a.zero_points == b.zero_points &&
         same_bits(a.code_book, b.code_book) && same_bits(a.offsets, b.offsets) &&
         same_bits(a.column_scales, b.column_scales) && a.float_columns == b.float_columns &&
         same_bits(a.bias, b.bias) && same_bits(a.values, b.values) && a.stored_bits == b.stored_bits && a.mse == b.mse;
}

/// Convolutions of every kind and linear layers that read one tensor, with ten samples; sites 0 … 6 are the weights:
///   0 Conv 3x3, 1 depthwise, 2 grouped, 3 ConvTranspose, 4 Gemm, 5 Gemm with alpha and no bias, 6 MatMul
struct Setup {
  TempFolder dir{"prepared"};
  std::shared_ptr<const Network> net;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<ChunkedData> data;
  static constexpr SiteId kTransposed = 3, kGemm = 4, kScaled = 5, kMatMul = 6;

  Setup() {
    Builder b;
    const TensorId x = b.input({4, 3, 6, 6});
    const TensorId a = b.op("Relu", {b.conv(x, 8)});
    const TensorId d = b.op("Relu", {b.conv(a, 8, {3, 1, 1, 8})});
    const TensorId g = b.op("Relu", {b.conv(d, 6, {3, 2, 1, 2})});
    const TensorId w = b.random({6, 4, 2, 2}, 0.3);
    const TensorId t = b.layer(b.op("ConvTranspose", {g, w}, {{"strides", std::vector<std::int64_t>{2, 2}}}), g, w);
    const TensorId flat =
        b.op("Flatten", {b.op("GlobalAveragePool", {b.op("Concat", {t, a}, {{"axis", std::int64_t{1}}})})});
    const TensorId u = b.random({9, 12}, 0.3), v = b.random({9, 12}, 0.3), m = b.random({9, 5}, 0.3);
    const TensorId first = b.layer(b.op("Gemm", {flat, u, b.random({9})}, {{"transB", std::int64_t{1}}}), flat, u);
    const TensorId second = b.layer(b.op("Gemm", {flat, v}, {{"transB", std::int64_t{1}}, {"alpha", 0.25F}}), flat, v);
    const TensorId sum = b.op("Relu", {b.op("Add", {first, second})});
    const TensorId y = b.layer(b.op("MatMul", {sum, m}), sum, m);
    for (Layer& layer : b.net.layers) {
      layer.groups = b.net.node(layer.node).integer("group", 1);
      if (layer.op == "ConvTranspose" || layer.op == "MatMul") layer.channel_axis = 1;
    }
    net = b.finish({y});
    executor = std::make_unique<Executor>(net);
    write_npy(dir.path / "x.npy", random_tensor({10, 3, 6, 6}, "samples"));
    data = std::make_unique<ChunkedData>(spec(), *net, 1 << 20);
  }
  DataSpec spec() const { return spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path); }
  std::filesystem::path folder() const { return dir.path / "weights"; }

  QuantizedWeight get(SiteId site, const std::string& choice, const std::filesystem::path& from = {},
                      std::size_t threads = 1) const {
    PreparedWeights weights(*executor, data.get(), from);
    std::vector<Executor::WorkspacePtr> workspaces(threads);
    return *weights.get(site, weight_choice(choice), workspaces);
  }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> all;
    for (const auto& entry : std::filesystem::directory_iterator(folder())) all.push_back(entry.path());
    return all;
  }
  WeightView view(LayerId id) const {
    const Layer& layer = net->layer(id);
    return WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups);
  }
  LayerMoments moments(LayerId layer) const {
    std::vector<Executor::WorkspacePtr> workspaces(1);
    const MomentsRequest request{layer, 0};
    return collect_moments(*executor, *data, std::span(&request, 1), nullptr, workspaces).front();
  }
};

/// What a run says while `body` runs.
template <class Body>
std::string log_of(const std::filesystem::path& file, const Body& body) {
  silence_log();
  open_event_log(file);
  body();
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a prepared weight is the same with a folder and without, from the file, on 1 and 3 threads") {
  const Setup setup;
  for (const std::string choice : {"int4+gptq+bias", "int3:g5+hqq", "nf4:g4+gptq+gain+bias", "int3+awq+outliers10"})
    for (const SiteId site : {0, 1, 3, 5, 6}) {
      INFO(choice << ' ' << site);
      const QuantizedWeight plain = setup.get(site, choice);
      CHECK(same(setup.get(site, choice, {}, 3), plain));
      const std::size_t before = std::filesystem::exists(setup.folder()) ? setup.files().size() : 0;
      CHECK(same(setup.get(site, choice, setup.folder()), plain));
      CHECK(setup.files().size() == before + 1);
      CHECK(same(setup.get(site, choice, setup.folder(), 3), plain));
      CHECK(setup.files().size() == before + 1);
      CHECK(plain.values.size() == static_cast<std::size_t>(setup.net->site(site).elements));
    }
}

TEST_CASE("a weight comes from its file when there is one") {
  const Setup setup;
  QuantizedWeight changed = setup.get(0, "int4+bias", setup.folder());
  changed.values[5] = 42;
  write_weight(setup.files().at(0), changed);
  CHECK(setup.get(0, "int4+bias", setup.folder()).values[5] == 42);
  CHECK(setup.get(0, "int3+bias", setup.folder()).values[5] != 42);
}

TEST_CASE("a prepared weight is that of quantize_layer on the layer's own inputs") {
  const Setup setup;
  for (const SiteId site : {0, 1, 2, 4, 5, 6}) {
    INFO(site);
    const Layer& layer = setup.net->layer(site);
    const LayerMoments moments = setup.moments(site);
    const auto values = setup.net->tensor(layer.weight).constant->values<float>();
    const LayerWeight weight{values, WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups), &moments, 1};
    for (const std::string choice : {"int3+gptq", "int3+wmse+bias"}) {
      if (site == 1 && choice.ends_with("bias") && !setup.executor->takes_bias(site)) continue;
      CHECK(same(setup.get(site, choice), quantize_layer(weight, weight_choice(choice))));
    }
  }
}

TEST_CASE("layers that read one tensor share their moments, but not where Gemm's alpha differs") {
  const Setup setup;
  const LayerMoments first = setup.moments(Setup::kGemm), second = setup.moments(Setup::kScaled);
  CHECK(second.mean[0][3] == Approx(0.25 * first.mean[0][3]));
  PreparedWeights weights(*setup.executor, setup.data.get(), {});
  std::vector<Executor::WorkspacePtr> workspaces(1);
  for (const SiteId site : {Setup::kGemm, Setup::kScaled}) {
    const auto made = weights.get(site, weight_choice("int2+bias"), workspaces);
    const auto w = setup.net->tensor(setup.net->layer(site).weight).constant->values<float>();
    const LayerMoments& moments = site == Setup::kGemm ? first : second;
    const auto expected = mean_difference(WeightView::of({9, 12}, 0), w, made->values, moments);
    REQUIRE(made->bias.size() == 9);
    for (std::size_t c = 0; c < 9; ++c) CHECK(made->bias[c] == Approx(expected[c]).margin(1e-6));
  }
}

TEST_CASE("a damaged, short or foreign file is made again, with a warning") {
  const Setup setup;
  const QuantizedWeight good = setup.get(0, "int4+gptq+bias", setup.folder());
  const auto file = setup.files().at(0);
  std::ifstream in(file, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  std::string flipped = bytes;
  for (std::size_t i = 60; i < 900; i += 7) flipped[i] = static_cast<char>(flipped[i] ^ 0x55);
  int number = 0;
  for (const std::string& content : {std::string(), std::string("x"), bytes.substr(0, bytes.size() / 2),
                                     bytes.substr(0, bytes.size() - 1), flipped}) {
    INFO(content.size());
    std::ofstream(file, std::ios::binary) << content;
    const auto log = log_of(setup.dir.path / ("log" + std::to_string(number++)),
                            [&] { CHECK(same(setup.get(0, "int4+gptq+bias", setup.folder()), good)); });
    CHECK_THAT(log, Contains("a prepared weight is made again: "));
    CHECK(same(*read_weight(file, setup.view(0), weight_choice("int4+gptq+bias")), good));
  }
  QuantizedWeight other = good;
  other.values.pop_back();
  QuantizedWeight without = good;
  without.codes.clear();
  QuantizedWeight scales = good;
  scales.scales.pop_back();
  QuantizedWeight bias = good;
  bias.bias.push_back(1);
  for (const QuantizedWeight* foreign : {&other, &without, &scales, &bias}) {
    write_weight(file, *foreign);
    const auto log = log_of(setup.dir.path / ("log" + std::to_string(number++)),
                            [&] { CHECK(same(setup.get(0, "int4+gptq+bias", setup.folder()), good)); });
    CHECK_THAT(log, Contains("a prepared weight is made again: "));
    CHECK(same(*read_weight(file, setup.view(0), weight_choice("int4+gptq+bias")), good));
  }
}

TEST_CASE("a folder that cannot be made or a file that cannot be written costs time, not the run") {
  const Setup setup;
  const QuantizedWeight good = setup.get(0, "int4+gptq");
  setup.dir.put("file", "no folder");
  const auto log = log_of(setup.dir.path / "log", [&] {
    CHECK(same(setup.get(0, "int4+gptq", setup.dir.path / "file"), good));
    CHECK(same(setup.get(0, "int4+gptq", setup.dir.path / "file" / "below"), good));
  });
  CHECK_THAT(log, Contains("a prepared weight is not kept: "));
  setup.get(0, "int4+gptq", setup.folder());
  const auto file = setup.files().at(0);
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  CHECK(same(setup.get(0, "int4+gptq", setup.folder()), good));
}

TEST_CASE("what names a file is the model, the weight, the choice and the calibration data") {
  const Setup setup;
  setup.get(0, "int4+gptq", setup.folder());
  setup.get(0, "int3+gptq", setup.folder());
  setup.get(1, "int4+gptq", setup.folder());
  CHECK(setup.files().size() == 3);
  write_npy(setup.dir.path / "x.npy", random_tensor({10, 3, 6, 6}, "others"));
  ChunkedData others(setup.spec(), *setup.net, 1 << 20);
  PreparedWeights weights(*setup.executor, &others, setup.folder());
  std::vector<Executor::WorkspacePtr> workspaces(1);
  weights.get(0, weight_choice("int4+gptq"), workspaces);
  CHECK(setup.files().size() == 4);
}

TEST_CASE("layers whose inputs make no rows are quantized without what needs them") {
  const Setup setup;
  CHECK_FALSE(has_moments(*setup.net, setup.net->layer(Setup::kTransposed)));
  CHECK_FALSE(layer_with_moments(*setup.net, Setup::kTransposed).has_value());
  const QuantizedWeight made = setup.get(Setup::kTransposed, "int4+gptq+awq+outliers10+bias");
  const QuantizedWeight plain = setup.get(Setup::kTransposed, "int4");
  CHECK(same_bits(made.values, plain.values));
  CHECK(made.bias.empty());
  CHECK(made.column_scales.empty());
  CHECK(made.float_columns.empty());
  const auto& layer = setup.net->layer(Setup::kTransposed);
  CHECK(made.stored_bits == stored_bits(WeightView::of(layer.weight_shape, 1, layer.groups),
                                        weight_choice("int4+gptq+awq+outliers10+bias")));
  CHECK(same_bits(setup.get(Setup::kTransposed, "int4:g4+hqq+bias").values,
                  setup.get(Setup::kTransposed, "int4:g4+hqq").values));
}

TEST_CASE("an evaluator notes which weights have no inputs, when choices need them") {
  const Setup setup;
  EvaluatorSpec spec;
  spec.calibration = spec.selection = setup.spec();
  spec.threads = 1;
  const auto table = std::make_shared<ChoiceTable>();
  table->add(weight_choice("int4"));
  table->add(weight_choice("int4:g4+hqq"));
  CHECK(Evaluator(setup.net, table, spec).notes().empty());
  table->add(weight_choice("int4+gptq"));
  table->add(weight_choice("int3+bias"));
  CHECK(
      Evaluator(setup.net, table, spec).notes() ==
      std::vector<std::string>{"weight '" + setup.net->site(Setup::kTransposed).name +
                               "' multiplies no rows of inputs: rounding by data, gain, awq, outliers, bias and ranges "
                               "wmse and output are left out of int4+gptq, int3+bias there"});
}

TEST_CASE("a choice without what needs data") {
  CHECK(without_data(weight_choice("int4")) == weight_choice("int4"));
  for (const std::string text : {"int4+gptq+bias", "int4+awq", "int4+outliers1", "int4+gain", "int4+wmse", "nf4+gptq",
                                 "ttq+trained", "int4+hqq+bias"}) {
    const Choice plain = without_data(weight_choice(text));
    CHECK_FALSE(plain.needs_data());
    CHECK(plain.rounding == (text == "int4+hqq+bias" ? "hqq" : "nearest"));
    CHECK(plain.range != RangeMethod::wmse);
  }
}

TEST_CASE("a choice that needs data is an error without calibration data, and says for which weight") {
  const Setup setup;
  PreparedWeights weights(*setup.executor, nullptr, {});
  std::vector<Executor::WorkspacePtr> workspaces(1);
  CHECK_THROWS_WITH(weights.get(0, weight_choice("int4+gptq"), workspaces),
                    "weight '" + setup.net->site(0).name + "' as int4+gptq: data.calibration is not given");
  CHECK(weights.get(0, weight_choice("int4+hqq"), workspaces)->values.size() == 8 * 27);
}

TEST_CASE("a stop ends the making of weights") {
  const Setup setup;
  PreparedWeights weights(*setup.executor, setup.data.get(), {});
  std::vector<Executor::WorkspacePtr> workspaces(1);
  const std::atomic<bool> stop = true;
  CHECK_THROWS_AS(weights.get(0, weight_choice("int4+gptq"), workspaces, &stop), Interrupted);
}

TEST_CASE("an evaluator measures prepared choices alike with a folder and without, on any number of threads") {
  const Setup setup;
  const auto table = std::make_shared<ChoiceTable>();
  const ChoiceId w = table->add(weight_choice("int4+gptq+bias"));
  const ChoiceId a = table->add(parse_choice("int8", ChoiceDefaults::activations(), ChoiceDefaults::activations()));
  Assignment assignment;
  for (const Site& site : setup.net->sites) assignment.push_back(site.kind == Site::Kind::weight ? w : a);
  const auto sums = [&](Arithmetic arithmetic, const std::filesystem::path& folder, int threads) {
    EvaluatorSpec spec;
    spec.calibration = spec.selection = setup.spec();
    spec.threads = threads;
    spec.arithmetic = arithmetic;
    spec.prepared = folder;
    Evaluator evaluator(setup.net, table, spec);
    std::vector<LossSums> all;
    for (int again = 0; again < 2; ++again)
      all = evaluator.measure(assignment, Role::selection, {0, evaluator.chunks(Role::selection)});
    return all;
  };
  const auto floating = sums(Arithmetic::floating, {}, 1), automatic = sums(Arithmetic::automatic, {}, 1);
  CHECK(sums(Arithmetic::automatic, setup.folder(), 3) == automatic);
  CHECK(sums(Arithmetic::automatic, setup.folder(), 1) == automatic);
  CHECK(sums(Arithmetic::floating, setup.folder(), 3) == floating);
  LossSums one, two;
  for (const auto& chunk : floating) one.add(chunk);
  for (const auto& chunk : automatic) two.add(chunk);
  CHECK(one.invalid == 0);
  CHECK(one.kl > 0);
  CHECK(two.kl == Approx(one.kl).epsilon(0.02));
}

TEST_CASE("prepare makes the files that measuring then reads") {
  const Setup setup;
  const auto table = std::make_shared<ChoiceTable>();
  const ChoiceId w = table->add(weight_choice("int4+gptq"));
  EvaluatorSpec spec;
  spec.calibration = spec.selection = setup.spec();
  spec.threads = 1;
  spec.prepared = setup.folder();
  Evaluator evaluator(setup.net, table, spec);
  evaluator.prepare(0, w);
  REQUIRE(setup.files().size() == 1);
  QuantizedWeight changed = *read_weight(setup.files()[0], setup.view(0), weight_choice("int4+gptq"));
  changed.values.assign(changed.values.size(), 0);
  write_weight(setup.files()[0], changed);
  Evaluator reader(setup.net, table, spec);
  Assignment assignment(setup.net->sites.size(), kFloat);
  assignment[0] = w;
  const auto zeroed = reader.measure(assignment, Role::selection, {0, 1});
  const auto made = evaluator.measure(assignment, Role::selection, {0, 1});
  CHECK(zeroed[0].kl > made[0].kl);
}

}  // namespace bitplan::test
