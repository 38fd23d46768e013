#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/evaluator.hpp"
#include "eval/evaluator_references.hpp"
#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/dataset_files.hpp"
#include "tests/fixtures.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

constexpr std::int64_t kBatch = 2, kLength = 4, kVocabulary = 12, kWidth = 8, kWindows = 7;

/// ids [2, 4] → embedding [12, 8] → logits through the transposed copy of the embedding: sites 0 the weight, 1 "h".
std::shared_ptr<const Network> tied_model() {
  auto net = std::make_shared<Network>();
  net->opset = 17;
  net->batch = kBatch;
  const auto ids = add_tensor(*net, "input_ids", {kBatch, kLength}, -1);
  net->tensors[static_cast<std::size_t>(ids)].dtype = DType::i64;
  net->inputs = {ids};
  const auto wte = add_constant(*net, "wte", {kVocabulary, kWidth}, 1);
  const auto head = add_tensor(*net, "head", {kWidth, kVocabulary}, -1);
  std::vector<float> transposed;
  for (std::int64_t c = 0; c < kWidth; ++c)
    for (std::int64_t r = 0; r < kVocabulary; ++r)
      transposed.push_back(net->tensor(wte).constant->values<float>()[static_cast<std::size_t>(r * kWidth + c)]);
  net->tensors[static_cast<std::size_t>(head)].constant = Tensor::of({kWidth, kVocabulary}, transposed);
  const auto h = add_node(*net, "gather", "Gather", {wte, ids}, "h", {kBatch, kLength, kWidth});
  net->outputs = {add_node(*net, "matmul", "MatMul", {h, head}, "logits", {kBatch, kLength, kVocabulary})};
  Layer embedding, projection;
  embedding.op = "Gather", projection.op = "MatMul";
  embedding.weight = wte, embedding.input = ids, embedding.output = h;
  embedding.weight_shape = {kVocabulary, kWidth};
  projection.id = 1, projection.node = 1;
  projection.weight = head, projection.input = h, projection.output = net->outputs[0];
  projection.weight_shape = {kWidth, kVocabulary};
  projection.channel_axis = 1;
  projection.weight_transposed = true;
  embedding.weights = projection.weights = kVocabulary * kWidth;
  net->layers = {embedding, projection};
  net->sites = {{Site::Kind::weight, 0, wte, {0, 1}, kVocabulary * kWidth, "wte.weight"},
                {Site::Kind::activation, 1, h, {1}, kLength * kWidth, "h"}};
  net->weight_site = {0, 0};
  net->input_site = {-1, 1};
  return net;
}

struct Windows {
  TempFolder dir;
  std::vector<std::int64_t> ids;
  explicit Windows(const std::string& name) : dir("evaluator_tokens_" + name) {
    Rng rng(4, "evaluator_tokens_test");
    for (std::int64_t i = 0; i < kWindows * kLength; ++i)
      ids.push_back(static_cast<std::int64_t>(rng.below(kVocabulary)));
    write_npy(dir.path / "t.npy", Tensor::of({kWindows, kLength}, ids));
  }
  EvaluatorSpec spec(int threads = 1) const {
    EvaluatorSpec spec;
    spec.calibration = spec.selection = spec_of("{kind: tokens, file: t.npy}", dir.path);
    spec.threads = threads;
    return spec;
  }
};

std::vector<LossSums> all(Evaluator& evaluator, const Assignment& assignment) {
  return evaluator.measure(assignment, Role::selection, {0, evaluator.chunks(Role::selection)});
}

LossSums total(const std::vector<LossSums>& chunks) {
  LossSums sums;
  for (const auto& chunk : chunks) sums.add(chunk);
  return sums;
}

ChoiceId add(ChoiceTable& table, const std::string& text, const ChoiceDefaults& defaults) {
  return table.add(parse_choice(text, defaults, defaults));
}

}  // namespace

TEST_CASE("the float nll of a window is the mean over its next tokens of log sum exp minus the token's logit") {
  const Windows windows("nll");
  const auto net = tied_model();
  Evaluator evaluator(net, std::make_shared<ChoiceTable>(), windows.spec());
  const auto sums = total(all(evaluator, {kFloat, kFloat}));
  const auto wte = net->tensor(net->layers[0].weight).constant->values<float>();
  double nll = 0;
  for (std::size_t w = 0; w < kWindows; ++w)
    for (std::size_t t = 0; t + 1 < kLength; ++t) {
      const auto from = static_cast<std::size_t>(windows.ids[w * kLength + t]),
                 to = static_cast<std::size_t>(windows.ids[w * kLength + t + 1]);
      double sum = 0, logit = 0;
      for (std::size_t v = 0; v < kVocabulary; ++v) {
        double y = 0;
        for (std::size_t c = 0; c < kWidth; ++c) y += double{wte[from * kWidth + c]} * double{wte[v * kWidth + c]};
        sum += std::exp(y);
        if (v == to) logit = y;
      }
      nll += (std::log(sum) - logit) / (kLength - 1);
    }
  CHECK(sums.samples == kWindows);
  CHECK(sums.labelled == kWindows);
  CHECK(sums.positions == kWindows * kLength);
  CHECK(sums.predictions == kWindows * (kLength - 1));
  CHECK(sums.nll == Approx(nll).epsilon(1e-5));
  CHECK(sums.kl == 0);
  CHECK(find_metric("perplexity").value(sums).value == Approx(std::exp(nll / kWindows)).epsilon(1e-5));
  for (const auto& metric : metrics()) CHECK_FALSE(evaluator.refusal(metric, Role::selection).has_value());
}

TEST_CASE("losses are the same to the bit whatever of the float outputs is kept, on any number of threads") {
  const Windows windows("kept");
  const auto net = tied_model();
  const auto table = std::make_shared<ChoiceTable>();
  const auto w3 = add(*table, "int3", ChoiceDefaults::weights()),
             a4 = add(*table, "int4", ChoiceDefaults::activations());
  std::vector<LossSums> first;
  for (const std::size_t keep : {std::size_t{0}, std::size_t{800}, std::size_t{1} << 20})
    for (const int threads : {1, 3}) {
      auto spec = windows.spec(threads);
      spec.reference_bytes = keep;
      Evaluator evaluator(net, table, spec);
      for (int again = 0; again < 2; ++again) {
        const auto sums = all(evaluator, {w3, a4});
        if (first.empty()) first = sums;
        CHECK(sums == first);
      }
    }
  CHECK(total(first).kl > 0);
  CHECK(total(first).jsd > 0);
}

TEST_CASE("float outputs are kept up to their bound and no further") {
  References references(10 * sizeof(float));
  int computed = 0;
  const auto get = [&](int role, int chunk, std::size_t size) {
    return references.get(role, chunk, [&] {
      ++computed;
      return std::vector<float>(size, static_cast<float>(chunk));
    });
  };
  for (int again = 0; again < 2; ++again) {
    CHECK(get(0, 0, 6)->size() == 6);
    CHECK(get(0, 1, 6)->at(0) == 1);  // too large for what is left
    CHECK(get(1, 0, 4)->size() == 4);
  }
  CHECK(computed == 4);
  CHECK(references.kept_bytes() == 10 * sizeof(float));
}

TEST_CASE("a tied embedding is quantized once, its head computes with the transposed values") {
  const Windows windows("tied");
  const auto net = tied_model();
  const auto table = std::make_shared<ChoiceTable>();
  Evaluator evaluator(net, table, windows.spec());
  for (const auto* text : {"int3", "int4:g4", "int8:tensor"}) {
    const auto choice = add(*table, text, ChoiceDefaults::weights());
    const auto embedding = evaluator.quantized_weight(0, choice), head = evaluator.quantized_weight(1, choice);
    CHECK(embedding.scales == head.scales);
    bool equal = true;
    for (std::size_t r = 0; r < kVocabulary; ++r)
      for (std::size_t c = 0; c < kWidth; ++c)
        equal = equal && embedding.values[r * kWidth + c] == head.values[c * kVocabulary + r] &&
                embedding.codes[r * kWidth + c] == head.codes[c * kVocabulary + r];
    CHECK(equal);
  }
}

TEST_CASE("labels of a sequence that are not one a position make the metrics of labels unavailable") {
  const TempFolder dir("evaluator_tokens_npy");
  const auto net = tied_model();
  write_npy(dir.path / "x.npy", Tensor::of({2, kLength}, std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EvaluatorSpec spec;
  spec.threads = 1;
  spec.selection = spec_of("{kind: npy, inputs: {input_ids: x.npy}}", dir.path);
  Evaluator evaluator(net, std::make_shared<ChoiceTable>(), spec);
  CHECK_FALSE(evaluator.has_labels(Role::selection));
  CHECK(*evaluator.refusal(find_metric("nll"), Role::selection) ==
        "metric 'nll' needs labels, data.selection has none for each of the 4 positions");
  const auto sums = total(all(evaluator, {kFloat, kFloat}));
  CHECK(sums.positions == 2 * kLength);
  CHECK(sums.labelled == 0);
}

TEST_CASE("npy labels of a sequence stand at each position, negative for none") {
  const TempFolder dir("evaluator_tokens_labels");
  const auto net = tied_model();
  write_npy(dir.path / "x.npy", Tensor::of({2, kLength}, std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  write_npy(dir.path / "l.npy", Tensor::of({2, kLength}, std::vector<std::int64_t>{0, -1, 2, -100, 4, 5, 6, 11}));
  const auto text = "{kind: npy, inputs: {input_ids: x.npy}, labels: l.npy}";
  EvaluatorSpec spec;
  spec.threads = 1;
  spec.selection = spec_of(text, dir.path);
  Evaluator evaluator(net, std::make_shared<ChoiceTable>(), spec);
  const auto sums = total(all(evaluator, {kFloat, kFloat}));
  CHECK(sums.labelled == 2);
  CHECK(sums.predictions == 6);
  write_npy(dir.path / "l.npy", Tensor::of({2, kLength}, std::vector<std::int64_t>{0, 1, 2, 3, 4, 12, 6, 7}));
  CHECK_THROWS_WITH(
      Evaluator(net, std::make_shared<ChoiceTable>(), spec),
      Catch::Matchers::EndsWith("l.npy: sample 1, position 1 (counted from 0) has label 12; allowed: 0 to 11, "
                                "negative for none"));
  write_npy(dir.path / "l.npy", Tensor::of({2}, std::vector<std::int64_t>{0, 1}));
  CHECK_THROWS_WITH(Evaluator(net, std::make_shared<ChoiceTable>(), spec),
                    Catch::Matchers::EndsWith("l.npy: labels must be integers of shape [samples, 4], are int64 2"));
}

TEST_CASE("llama's windows have the nll of ONNX Runtime") {
  const auto folder = shared_data() / "lm";
  if (shared_data().empty() || !std::filesystem::exists(folder / "llama.onnx")) {
    WARN("no shared data: skipped");
    return;
  }
  constexpr std::int64_t kMeasured = 8;
  const auto net = std::make_shared<const Network>(
      import_onnx(folder / "llama.onnx", {.shapes = {}, .batch = 1, .sequence = 0, .attention_sites = false}));
  EvaluatorSpec spec;
  spec.threads = 1;
  spec.holdout = spec_of("{kind: tokens, file: tokens_wikitext2.npy, samples: 8}", folder);
  Evaluator evaluator(net, std::make_shared<ChoiceTable>(), spec);
  const auto expected = read_npy(folder / "llama_wikitext2_window_nll.npy").cast(DType::f64);
  const auto sums = evaluator.measure(Assignment(net->sites.size(), kFloat), Role::holdout, {0, kMeasured});
  for (std::size_t w = 0; w < sums.size(); ++w)
    CHECK(sums[w].nll == Approx(expected.values<double>()[w]).epsilon(1e-4));
}
