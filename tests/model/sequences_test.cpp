// Sequences of tensors, as exporters write split, unbind and stack: they become operators on tensors at import.
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Contains;
using Names = std::vector<std::string>;

Attribute number(std::int64_t n) { return n; }

/// x of 2 x 6 holding 0 … 11, and constants p0, p1, m1 (scalars 0, 1, -1).
OnnxModel model_of(int opset) {
  OnnxModel model(opset);
  model.input("x", {"2", "6"});
  model.constant("p0", i64({}, {0})).constant("p1", i64({}, {1})).constant("m1", i64({}, {-1}));
  return model;
}

std::vector<float> run(const Network& network) {
  const auto y = interpret(network, std::vector{ramp({2, 6})}).at(0);
  return {y.values<float>().begin(), y.values<float>().end()};
}

TEST_CASE("SplitToSequence with SequenceAt is a Split: by sizes, by one size, by ones") {
  for (const int opset : {11, 13, 20}) {
    INFO(opset);
    auto sizes = model_of(opset);
    sizes.constant("sizes", i64({3}, {1, 2, 3}));
    sizes.node("SplitToSequence", {"x", "sizes"}, {"parts"}, {{"axis", number(-1)}, {"keepdims", number(0)}});
    sizes.node("SequenceAt", {"parts", "p1"}, {"y"});
    const Network by_sizes = sizes.output("y").import();
    CHECK(left(by_sizes) == Names{"Split"});
    CHECK(run(by_sizes) == std::vector<float>{1, 2, 7, 8});

    auto chunks = model_of(opset);
    chunks.constant("size", i64({}, {4}));
    chunks.node("SplitToSequence", {"x", "size"}, {"parts"}, {{"axis", number(1)}});
    chunks.node("SequenceAt", {"parts", "m1"}, {"y"});
    CHECK(run(chunks.output("y").import()) == std::vector<float>{4, 5, 10, 11});

    auto rows = model_of(opset);
    rows.node("SplitToSequence", {"x"}, {"parts"}, {{"keepdims", number(0)}});
    rows.node("SequenceAt", {"parts", "p1"}, {"row"});
    rows.node("Neg", {"row"}, {"y"});
    const Network row = rows.output("y").import();
    CHECK(row.tensor(row.outputs[0]).shape == Shape{6});
    CHECK(run(row) == std::vector<float>{-6, -7, -8, -9, -10, -11});
  }
}

TEST_CASE("ConcatFromSequence joins what SequenceConstruct, SequenceEmpty and SequenceInsert list, or stacks it") {
  for (const int opset : {11, 17}) {
    INFO(opset);
    auto stack = model_of(opset);
    stack.node("Neg", {"x"}, {"n"});
    stack.node("SequenceConstruct", {"x", "n"}, {"pair"});
    stack.node("ConcatFromSequence", {"pair"}, {"y"}, {{"axis", number(-1)}, {"new_axis", number(1)}});
    const Network stacked = stack.output("y").import();
    CHECK(stacked.tensor(stacked.outputs[0]).shape == Shape{2, 6, 2});
    CHECK(run(stacked).at(3) == -1);

    auto join = model_of(opset);
    join.node("Neg", {"x"}, {"n"});
    join.node("SequenceEmpty", {}, {"none"});
    join.node("SequenceInsert", {"none", "x"}, {"one"});
    join.node("SequenceInsert", {"one", "n", "p0"}, {"two"});
    join.node("ConcatFromSequence", {"two"}, {"y"}, {{"axis", number(0)}});
    const Network joined = join.output("y").import();
    CHECK(joined.tensor(joined.outputs[0]).shape == Shape{4, 6});
    CHECK(run(joined).at(1) == -1);
  }
}

TEST_CASE("the length of a sequence is known") {
  auto model = model_of(17);
  model.node("SplitToSequence", {"x"}, {"parts"}, {{"axis", number(1)}});
  model.node("SequenceLength", {"parts"}, {"n"});
  model.node("Cast", {"n"}, {"f"}, {{"to", number(1)}});
  model.node("Mul", {"x", "f"}, {"y"});
  CHECK(run(model.output("y").import()).at(1) == 6);
}

TEST_CASE("the weight of a layer behind a sequence keeps its place in the file") {
  auto model = model_of(20);
  model.constant("w", ramp({3, 4}));
  model.node("SplitToSequence", {"x", "three"}, {"parts"}, {{"axis", number(1)}}, "split");
  model.constant("three", i64({}, {3}));
  model.node("SequenceAt", {"parts", "p1"}, {"half"});
  model.node("MatMul", {"half", "w"}, {"y"});
  const Network net = model.output("y").import();
  REQUIRE(net.layers.size() == 1);
  CHECK(net.layers[0].names.weight == "w");
  CHECK(left(net) == Names{"Split", "MatMul"});
}

TEST_CASE("sequences that cannot be resolved are refused with the reason") {
  const auto error = [](const auto& build) {
    auto model = model_of(17);
    model.node("SequenceConstruct", {"x", "x"}, {"pair"}, {}, "pair");
    build(model);
    return import_error(model.output("y"));
  };
  CHECK_THAT(error([](OnnxModel& m) {
               m.constant("p2", i64({}, {2}));
               m.node("SequenceAt", {"pair", "p2"}, {"y"}, {}, "at");
             }),
             Contains("node 'at' (SequenceAt, opset 17): position 2 is outside its sequence; 2 are possible"));
  CHECK_THAT(error([](OnnxModel& m) {
               m.node("SequenceAt", {"x", "p0"}, {"y"}, {}, "at");
             }),
             Contains("node 'at' (SequenceAt, opset 17): its input 'x' is no sequence of tensors"));
  CHECK_THAT(error([](OnnxModel& m) { m.node("Neg", {"pair"}, {"y"}, {}, "neg"); }),
             Contains("node 'neg' (Neg, opset 17): its input 'pair' is a sequence of tensors"));
  CHECK_THAT(error([](OnnxModel& m) {
               m.node("SequenceInsert", {"pair", "x"}, {"y"});
             }),
             Contains("output 'y' is a sequence; sequences are supported inside the graph only: export with tensors"));
  CHECK_THAT(error([](OnnxModel& m) {
               m.node("Cast", {"x"}, {"i"}, {{"to", number(7)}});
               m.node("ReduceMax", {"i"}, {"top"}, {{"keepdims", number(0)}});
               m.node("SequenceAt", {"pair", "top"}, {"y"}, {}, "at");
             }),
             Contains("node 'at' (SequenceAt, opset 17): input 'top' depends on the data; it must be known at import"));
  CHECK_THAT(error([](OnnxModel& m) {
               m.node("SplitToSequence", {"x", "p0"}, {"parts"}, {}, "split");
               m.node("SequenceAt", {"parts", "p0"}, {"y"});
             }),
             Contains("node 'split' (SplitToSequence, opset 17): parts of 0 elements are not possible"));
  CHECK_THAT(error([](OnnxModel& m) {
               m.constant("wrong", i64({2}, {1, 2}));
               m.node("SplitToSequence", {"x", "wrong"}, {"parts"}, {}, "split");
               m.node("SequenceAt", {"parts", "p0"}, {"y"});
             }),
             Contains("node 'split' (Split, opset 17): its sizes do not add up to axis 0 of 2x6"));
  CHECK_THAT(error([](OnnxModel& m) {
               m.node("SequenceEmpty", {}, {"none"});
               m.node("ConcatFromSequence", {"none"}, {"y"}, {{"axis", number(0)}}, "join");
             }),
             Contains("node 'join' (ConcatFromSequence, opset 17): its sequence is empty"));
  CHECK_THAT(error([](OnnxModel& m) { m.node("SequenceConstruct", {"pair"}, {"y"}, {}, "nest"); }),
             Contains("node 'nest' (SequenceConstruct, opset 17): sequences of sequences are not supported"));
  CHECK_THAT(error([](OnnxModel& m) {
               std::vector<std::string> many(1025, "x");
               m.node("SequenceConstruct", many, {"long"}, {}, "long");
               m.node("SequenceAt", {"long", "p0"}, {"y"});
             }),
             Contains("node 'long' (SequenceConstruct, opset 17): makes a sequence of more than 1024 tensors"));
}

}  // namespace
}  // namespace bitplan
