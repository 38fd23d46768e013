#include "eval/moments/staged_moments.hpp"

#include <cstring>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/finish.hpp"
#include "eval/moments/moment_passes.hpp"
#include "quant/layer_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/eval/executor_networks.hpp"

namespace bitplan::test {
namespace {

/// A residual block with a projection beside it, a grouped convolution and two linear layers of one input; the layer
/// that reads `late` comes before the one that reads `early`, which is made first.
std::shared_ptr<const Network> residual_network() {
  Builder b;
  const TensorId x = b.input({4, 3, 8, 8});
  const TensorId a = b.op("Relu", {b.conv(x, 8)});
  const TensorId early = b.op("Relu", {b.conv(a, 12, {3, 2, 1, 1})}),
                 late = b.op("Sigmoid", {b.conv(a, 8, {3, 2, 1, 2})});
  const TensorId second = b.conv(late, 12), first = b.conv(early, 12);
  const TensorId sum = b.op("Relu", {b.op("Add", {first, second})});
  const TensorId flat = b.op("Flatten", {b.op("GlobalAveragePool", {sum})});
  const TensorId u = b.random({9, 12}, 0.3), v = b.random({9, 12}, 0.3), m = b.random({9, 5}, 0.3);
  const TensorId p = b.layer(b.op("Gemm", {flat, u}, {{"transB", std::int64_t{1}}}), flat, u);
  const TensorId q = b.layer(b.op("Gemm", {flat, v}, {{"transB", std::int64_t{1}}}), flat, v);
  const TensorId both = b.op("Relu", {b.op("Add", {p, q})});
  const TensorId y = b.layer(b.op("MatMul", {both, m}), both, m);
  for (Layer& layer : b.net.layers) {
    layer.groups = b.net.node(layer.node).integer("group", 1);
    if (layer.op == "MatMul") layer.channel_axis = 1;
  }
  return b.finish({y});
}

/// Eighteen samples: the last chunk of four is half full.
struct Setup {
  TempFolder dir{"staged"};
  std::shared_ptr<const Network> net = residual_network();
  Executor executor{net};
  std::unique_ptr<ChunkedData> data;
  std::vector<std::optional<Affine>> activations;

  explicit Setup(int bits = 5) : activations(net->sites.size()) {
    write_npy(dir.path / "x.npy", random_tensor({18, 3, 8, 8}, "samples"));
    data = std::make_unique<ChunkedData>(spec_of("{kind: npy, inputs: {x0: x.npy}}", dir.path), *net, 1 << 20);
    for (const Layer& layer : net->layers)
      activations[static_cast<std::size_t>(input(layer.id))] = affine_from_range(-1, 1.5, bits, false, false);
  }

  SiteId input(LayerId id) const { return net->input_site[static_cast<std::size_t>(id)]; }
  Tensor weight(LayerId id) const { return net->tensor(net->layer(id).weight).constant->cast(DType::f32); }
  WeightView view(LayerId id) const {
    const Layer& layer = net->layer(id);
    return WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups);
  }
  Candidate candidate() const {
    Candidate made;
    made.activations = activations;
    made.weights.resize(net->layers.size());
    return made;
  }
  std::vector<SiteId> sites() const {
    std::vector<SiteId> all;
    for (const Layer& layer : net->layers)
      if (std::ranges::find(all, input(layer.id)) == all.end()) all.push_back(input(layer.id));
    return all;
  }
  void coarsen(LayerId id, Candidate& candidate) const {
    std::vector<float> values(weight(id).values<float>().begin(), weight(id).values<float>().end());
    for (float& v : values) v = std::round(v * 5) / 5;
    candidate.weights[static_cast<std::size_t>(id)] = executor.pack(id, values);
  }
  /// Of every layer, each one made coarse when its inputs have been looked at.
  std::vector<LayerMoments> staged(MomentsOf of, std::size_t threads = 2,
                                   std::size_t held_bytes = StagedMoments::kHeldBytes) {
    std::vector<Executor::WorkspacePtr> workspaces(threads);
    StagedMoments moments(executor, *data, of, workspaces, held_bytes);
    std::vector<LayerMoments> all(net->layers.size());
    Candidate made = candidate();
    for (const SiteId site : moments.in_order(sites())) {
      std::vector<MomentsRequest> requests;
      for (const Layer& layer : net->layers)
        if (input(layer.id) == site) requests.push_back({layer.id, 40});
      const auto found = moments.collect(site, requests, made);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        all[static_cast<std::size_t>(requests[i].layer)] = found[i];
        coarsen(requests[i].layer, made);
      }
    }
    return all;
  }
  Finish finished(const std::string& choice, FinishSpec::Rounding rounding, std::size_t threads = 1) {
    const Choice parsed = parse_choice(choice, ChoiceDefaults::weights(), ChoiceDefaults::weights());
    const Unfinished network{activations, [&](LayerId) -> const Choice& { return parsed; },
                             [&](LayerId id) { return quantize_weight(weight(id).values<float>(), view(id), int3()); }};
    std::vector<Executor::WorkspacePtr> workspaces(threads);
    return finish(executor, *data, network, {.rounding = rounding}, workspaces);
  }
  static Choice int3() { return parse_choice("int3", ChoiceDefaults::weights(), ChoiceDefaults::weights()); }
};

bool same(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& one, const auto& other) {
           return std::ranges::equal(std::as_bytes(std::span(one)), std::as_bytes(std::span(other)));
         });
}

bool same(const LayerMoments& a, const LayerMoments& b) {
  return a.rows == b.rows && same(a.gram, b.gram) && same(a.cross, b.cross) && same(a.mean, b.mean) &&
         same(a.float_mean, b.float_mean) && same(a.abs_mean, b.abs_mean) && same(a.abs_max, b.abs_max);
}

}  // namespace

TEST_CASE("sites come in the order of the run, which need not be that of the layers that read them") {
  Setup setup;
  std::vector<Executor::WorkspacePtr> workspaces(1);
  StagedMoments moments(setup.executor, *setup.data, MomentsOf::inputs, workspaces);
  std::vector<SiteId> seen;
  const Executor::Tap tap = [&](SiteId site, std::span<const float>) { seen.push_back(site); };
  setup.executor.run(*setup.executor.make_workspace(), setup.data->chunk(0)->inputs, {}, &tap);
  CHECK(moments.in_order(setup.sites()) == seen);
  CHECK(seen != setup.sites());
  CHECK(moments.in_order({}).empty());
}

TEST_CASE("a run that is held at every site sees what one run does, to the bit") {
  Setup setup;
  const Candidate candidate = setup.candidate();
  const auto workspace = setup.executor.make_workspace(), other = setup.executor.make_workspace();
  for (int c = 0; c < 2; ++c) {
    std::map<SiteId, std::vector<float>> whole;
    std::vector<SiteId> order;
    const auto inputs = setup.data->chunk(c)->inputs;
    const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
      order.push_back(site);
      whole[site].assign(values.begin(), values.end());
    };
    setup.executor.run(*workspace, inputs, candidate, &tap);
    HeldRun held;
    for (const SiteId site : order) {
      std::vector<float> shown;
      setup.executor.run_to(
          site, *workspace, inputs, candidate,
          [&](SiteId at, std::span<const float> values) {
            CHECK(at == site);
            shown.assign(values.begin(), values.end());
          },
          held);
      CHECK(same({shown}, {whole.at(site)}));
      setup.executor.run(*workspace, setup.data->chunk(2)->inputs, {});  // nothing is left in the arena
    }
  }
}

TEST_CASE("moments of stages are those of runs from the inputs, the layers before as they have become") {
  Setup setup;
  const auto staged = setup.staged(MomentsOf::cross);
  Candidate made = setup.candidate();
  for (const Layer& layer : setup.net->layers) setup.coarsen(layer.id, made);
  std::vector<Executor::WorkspacePtr> workspaces(2);
  for (const Layer& layer : setup.net->layers) {
    CAPTURE(layer.id);
    const MomentsRequest request{layer.id, 40};
    const auto whole = collect_moments(setup.executor, *setup.data, std::span(&request, 1), &made, workspaces);
    CHECK(same(staged[static_cast<std::size_t>(layer.id)], whole.front()));
  }
}

TEST_CASE("moments of one network have no cross moments, and of both the means of the float one") {
  Setup setup;
  const auto cross = setup.staged(MomentsOf::cross), both = setup.staged(MomentsOf::both),
             inputs = setup.staged(MomentsOf::inputs);
  for (std::size_t l = 0; l < cross.size(); ++l) {
    CAPTURE(l);
    LayerMoments expected = cross[l];
    expected.cross.clear();
    CHECK(same(both[l], expected));
    CHECK((inputs[l].cross.empty() && same(inputs[l].gram, cross[l].gram) && same(inputs[l].mean, cross[l].mean)));
    CHECK_FALSE(same(inputs[l].float_mean, both[l].float_mean));
    for (std::size_t g = 0; g < inputs[l].mean.size(); ++g)
      for (std::size_t c = 0; c < inputs[l].mean[g].size(); ++c)
        CHECK(inputs[l].float_mean[g][c] == Approx(inputs[l].mean[g][c]).margin(1e-6));
  }
}

TEST_CASE("moments of stages do not depend on threads or on what of the runs can be held") {
  Setup setup;
  const auto one = setup.staged(MomentsOf::both, 1);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{20000}, StagedMoments::kHeldBytes})
    for (const std::size_t threads : {1, 3}) {
      const auto others = setup.staged(MomentsOf::both, threads, bytes);
      for (std::size_t l = 0; l < one.size(); ++l) CHECK(same(one[l], others[l]));
    }
}

TEST_CASE("the passes round each layer for inputs that all layers before it, rounded again, have made") {
  using enum FinishSpec::Rounding;
  for (const auto& [choice, rounding] :
       {std::pair{"int3+gptq", sequential}, {"int3+affine+gptq+bias", sequential}, {"int3+gptq+bias", asymmetric}}) {
    CAPTURE(choice, rounding == sequential);
    Setup setup;
    const Finish made = setup.finished(choice, rounding);
    Candidate all = setup.candidate();
    for (const Layer& layer : setup.net->layers) {
      const auto l = static_cast<std::size_t>(layer.id);
      REQUIRE(made.weights[l]);
      all.weights[l] = setup.executor.pack(layer.id, made.weights[l]->values, made.weights[l]->bias);
    }
    const Choice parsed = parse_choice(choice, ChoiceDefaults::weights(), ChoiceDefaults::weights());
    std::vector<Executor::WorkspacePtr> workspaces(1);
    for (const Layer& layer : setup.net->layers) {
      CAPTURE(layer.id);
      const MomentsRequest request = moments_request(*setup.net, layer.id);
      auto moments = collect_moments(setup.executor, *setup.data, std::span(&request, 1), &all, workspaces).front();
      if (rounding == sequential) moments.cross.clear();
      const Tensor weight = setup.weight(layer.id);
      const auto expected = quantize_layer({weight.values<float>(), setup.view(layer.id), &moments, 1}, parsed);
      const auto& found = *made.weights[static_cast<std::size_t>(layer.id)];
      CHECK(found.codes == expected.codes);
      CHECK(same({found.values, found.bias}, {expected.values, expected.bias}));
    }
  }
}

TEST_CASE("the passes give the same weights on 1 and 3 threads") {
  Setup setup;
  const auto rounding = FinishSpec::Rounding::asymmetric;
  const Finish one = setup.finished("int3+gptq+bias", rounding), three = setup.finished("int3+gptq+bias", rounding, 3);
  for (std::size_t l = 0; l < one.weights.size(); ++l)
    CHECK(same({one.weights[l]->values, one.weights[l]->bias}, {three.weights[l]->values, three.weights[l]->bias}));
}

TEST_CASE("a stop ends the passes") {
  Setup setup;
  const std::atomic<bool> stop = true;
  const Choice choice = Setup::int3();
  const Choice gptq = parse_choice("int3+gptq", ChoiceDefaults::weights(), ChoiceDefaults::weights());
  const Unfinished network{
      setup.activations, [&](LayerId) -> const Choice& { return gptq; },
      [&](LayerId id) { return quantize_weight(setup.weight(id).values<float>(), setup.view(id), choice); }};
  std::vector<Executor::WorkspacePtr> workspaces(1);
  CHECK_THROWS_AS(
      finish(setup.executor, *setup.data, network, {.rounding = FinishSpec::Rounding::sequential}, workspaces, &stop),
      Interrupted);
}

}  // namespace bitplan::test
