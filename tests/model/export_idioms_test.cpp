// What exporters of PyTorch write around the real operators: shape arithmetic that must fold away, in the forms of the
// TorchScript and the dynamo exporter at several opsets.
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Names = std::vector<std::string>;

Attribute number(std::int64_t n) { return n; }

Tensor run(const Network& network, const Tensor& x) { return interpret(network, std::vector{x}).at(0); }

/// A model whose input x has free dimensions, bound to 2 x 3 x 4 by the import.
struct Shaped {
  explicit Shaped(int opset) : model(opset) {
    model.input("x", {"batch", "rows", "4"});
    model.constant("zero", i64({}, {0})).constant("one", i64({}, {1})).constant("first", i64({1}, {0}));
    model.constant("minus", i64({1}, {-1})).constant("two", i64({1}, {2})).constant("four", i64({1}, {4}));
    model.node("Shape", {"x"}, {"shape"});
  }
  Network import() { return model.output("y").import({.shapes = {{"x", {-1, 3, 4}}}, .batch = 2}); }
  OnnxModel model;
};

TEST_CASE("a view by size(0): Shape, Gather, Unsqueeze, Concat, Reshape, before and since opset 13") {
  for (const int opset : {11, 13, 21}) {
    Shaped s(opset);
    s.model.node("Gather", {"shape", "zero"}, {"n"});
    if (opset < 13)
      s.model.node("Unsqueeze", {"n"}, {"n1"}, {{"axes", Ints{0}}});
    else
      s.model.node("Unsqueeze", {"n", "first"}, {"n1"});
    s.model.node("Concat", {"n1", "minus"}, {"to"}, {{"axis", number(0)}});
    s.model.node("Reshape", {"x", "to"}, {"y"});
    const Network net = s.import();
    CHECK(left(net) == Names{"Reshape"});
    CHECK(net.tensor(net.outputs[0]).shape == Shape{2, 12});
  }
}

TEST_CASE("heads: Shape with start and end, Mul and Div of sizes, Slice of a shape, Cast and Squeeze") {
  Shaped s(15);
  s.model.node("Shape", {"x"}, {"lead"}, {{"end", number(2)}});
  s.model.node("Slice", {"shape", "two", "end"}, {"last"});
  s.model.constant("end", i64({1}, {INT64_MAX}));
  s.model.node("Div", {"last", "two"}, {"head"});
  s.model.node("Squeeze", {"head"}, {"scalar"});
  s.model.node("Cast", {"scalar"}, {"f"}, {{"to", number(1)}});
  s.model.node("Cast", {"f"}, {"back"}, {{"to", number(7)}});
  s.model.node("Unsqueeze", {"back", "first"}, {"size"});
  s.model.node("Concat", {"lead", "two", "size"}, {"to"}, {{"axis", number(0)}});
  s.model.node("Reshape", {"x", "to"}, {"y"});
  const Network net = s.import();
  CHECK(left(net) == Names{"Reshape"});
  CHECK(net.tensor(net.outputs[0]).shape == Shape{2, 3, 2, 2});
}

TEST_CASE("expand as TorchScript writes it: ConstantOfShape, Mul, Equal, Where, Expand") {
  Shaped s(13);
  s.model.constant("asked", i64({3}, {2, -1, 4})).constant("rank", i64({1}, {3})).constant("m1", i64({}, {-1}));
  s.model.constant("token", f32({1, 1, 4}, {1, 2, 3, 4}));
  s.model.node("ConstantOfShape", {"rank"}, {"ones"}, {{"value", i64({1}, {1})}});
  s.model.node("Mul", {"ones", "m1"}, {"marks"});
  s.model.node("Equal", {"asked", "marks"}, {"is"});
  s.model.node("Where", {"is", "ones", "asked"}, {"to"});
  s.model.node("Expand", {"token", "to"}, {"class"});
  s.model.node("Concat", {"class", "x"}, {"y"}, {{"axis", number(1)}});
  const Network net = s.import();
  CHECK(left(net) == Names{"Concat"});
  CHECK(net.tensor(net.outputs[0]).shape == Shape{2, 4, 4});
}

TEST_CASE("positions and masks: Range over a size, comparison, Where, Trilu, ScatterND become constants") {
  Shaped s(17);
  s.model.node("Gather", {"shape", "one"}, {"rows"});
  s.model.node("Range", {"zero", "rows", "one"}, {"at"});
  s.model.node("Unsqueeze", {"at", "first"}, {"row"});
  s.model.node("Unsqueeze", {"at", "one1"}, {"column"});
  s.model.constant("one1", i64({1}, {1})).constant("low", f32({}, {-1e9f})).constant("none", f32({}, {0}));
  s.model.node("LessOrEqual", {"row", "column"}, {"sees"});
  s.model.node("Where", {"sees", "none", "low"}, {"mask"});
  s.model.node("Concat", {"rows1", "rows1"}, {"square"}, {{"axis", number(0)}});
  s.model.node("Unsqueeze", {"rows", "first"}, {"rows1"});
  s.model.node("ConstantOfShape", {"square"}, {"full"}, {{"value", f32({1}, {-1e9f})}});
  s.model.node("Trilu", {"full", "one"}, {"mask2"}, {{"upper", number(1)}});
  s.model.node("Add", {"mask", "mask2"}, {"sum"});
  s.model.constant("place", i64({1, 1}, {0})).constant("update", f32({1, 3}, {0, 0, 0}));
  s.model.node("ScatterND", {"sum", "place", "update"}, {"placed"});
  s.model.node("MatMul", {"placed", "x"}, {"y"});
  const Network net = s.import();
  CHECK(left(net) == Names{"MatMul"});
  const Tensor& mask = *net.tensor(net.nodes[0].inputs[0]).constant;
  CHECK(mask.values<float>()[0] == 0);
  CHECK(mask.values<float>()[5] == -2e9f);
  CHECK(mask.values<float>()[3] == 0);
}

TEST_CASE("buckets of relative positions fold to one constant index") {
  Shaped s(17);
  s.model.node("Gather", {"shape", "one"}, {"rows"});
  s.model.node("Range", {"zero", "rows", "one"}, {"at"});
  s.model.constant("one1", i64({1}, {1})).constant("half", f32({}, {0.5f})).constant("bound", i64({}, {2}));
  s.model.constant("table", ramp({3, 2}));
  s.model.node("Unsqueeze", {"at", "first"}, {"row"});
  s.model.node("Unsqueeze", {"at", "one1"}, {"column"});
  s.model.node("Sub", {"row", "column"}, {"distance"});
  s.model.node("Abs", {"distance"}, {"far"});
  s.model.node("Cast", {"far"}, {"f"}, {{"to", number(1)}});
  s.model.node("Add", {"f", "half"}, {"f1"});
  s.model.node("Log", {"f1"}, {"f2"});
  s.model.node("Cast", {"f2"}, {"big"}, {{"to", number(7)}});
  s.model.node("Less", {"far", "bound"}, {"near"});
  s.model.node("Where", {"near", "far", "big"}, {"bucket0"});
  s.model.node("Min", {"bucket0", "bound"}, {"bucket"});
  s.model.node("Gather", {"table", "bucket"}, {"values"});
  s.model.node("Transpose", {"values"}, {"bias"}, {{"perm", Ints{2, 0, 1}}});
  s.model.node("Unsqueeze", {"x", "one1"}, {"x4"});
  s.model.node("MatMul", {"bias", "x4"}, {"y"});
  CHECK(left(s.import()) == Names{"Unsqueeze", "MatMul"});
}

TEST_CASE("upsampling by a size that is computed: Shape, Slice, Cast, Mul, Floor, Concat, Resize") {
  OnnxModel model(13);
  model.input("x", {"N", "2", "H", "W"});
  model.constant("c0", i64({1}, {2})).constant("c1", i64({1}, {4})).constant("factor", f32({}, {2.5f}));
  model.constant("lead0", i64({1}, {0}));
  model.node("Shape", {"x"}, {"s"});
  model.node("Slice", {"s", "lead0", "c0"}, {"lead"});
  model.node("Slice", {"s", "c0", "c1"}, {"hw"});
  model.node("Cast", {"hw"}, {"f"}, {{"to", number(1)}});
  model.node("Mul", {"f", "factor"}, {"f2"});
  model.node("Floor", {"f2"}, {"f3"});
  model.node("Cast", {"f3"}, {"i"}, {{"to", number(7)}});
  model.node("Concat", {"lead", "i"}, {"sizes"}, {{"axis", number(0)}});
  model.node("Resize", {"x", "", "", "sizes"}, {"y"}, {{"mode", "linear"}});
  const Network net = model.output("y").import({.shapes = {{"x", {-1, 2, 3, 5}}}, .batch = 1});
  CHECK(left(net) == Names{"Resize"});
  CHECK(net.tensor(net.outputs[0]).shape == Shape{1, 2, 7, 12});
}

TEST_CASE("windows that are shifted: Slice and Concat roll, six axes are transposed") {
  OnnxModel model(17);
  model.input("x", {"1", "4", "4", "1"});
  model.constant("b", i64({1}, {1})).constant("e", i64({1}, {INT64_MAX})).constant("z", i64({1}, {0}));
  model.constant("axis", i64({1}, {1}))
      .constant("six", i64({6}, {1, 2, 2, 2, 2, 1}))
      .constant("out", i64({3}, {-1, 4, 1}));
  model.node("Slice", {"x", "b", "e", "axis"}, {"behind"});
  model.node("Slice", {"x", "z", "b", "axis"}, {"before"});
  model.node("Concat", {"behind", "before"}, {"rolled"}, {{"axis", number(1)}});
  model.node("Reshape", {"rolled", "six"}, {"split"});
  model.node("Transpose", {"split"}, {"turned"}, {{"perm", Ints{0, 1, 3, 2, 4, 5}}});
  model.node("Reshape", {"turned", "out"}, {"y"});
  const Network net = model.output("y").import();
  const Tensor y = run(net, ramp({1, 4, 4, 1}));
  CHECK(y.shape() == Shape{4, 4, 1});
  CHECK(y.values<float>()[0] == 4);  // row 1 became row 0
  CHECK(y.values<float>()[12] == 14);
}

TEST_CASE("attention by Einsum, with a mask of the padding made from token flags") {
  OnnxModel model(17);
  model.input("q", {"1", "2", "3", "4"}).input("seen", {"1", "3"}, onnx::TensorProto::INT64);
  model.constant("axes", i64({2}, {1, 2})).constant("one", f32({}, {1})).constant("low", f32({}, {-1e9f}));
  model.node("Unsqueeze", {"seen", "axes"}, {"wide"});
  model.node("Cast", {"wide"}, {"f"}, {{"to", number(1)}});
  model.node("Sub", {"one", "f"}, {"hidden"});
  model.node("Mul", {"hidden", "low"}, {"mask"});
  model.node("Einsum", {"q", "q"}, {"scores"}, {{"equation", "bhid,bhjd->bhij"}});
  model.node("Add", {"scores", "mask"}, {"masked"});
  model.node("Softmax", {"masked"}, {"p"}, {{"axis", number(-1)}});
  model.node("Einsum", {"p", "q"}, {"y"}, {{"equation", "bhij,bhjd->bihd"}});
  const Network net = model.output("y").import();
  CHECK(net.tensor(net.outputs[0]).shape == Shape{1, 3, 2, 4});
  const Tensor q = ramp({1, 2, 3, 4});
  const Tensor y = interpret(net, std::vector{q, i64({1, 3}, {1, 0, 0})}).at(0);
  for (std::size_t i = 0; i < 3; ++i) CHECK(y.values<float>()[i * 8] == 0);  // only the first key is seen
}

TEST_CASE("a shape that is computed from a computed tensor's shape folds too, since all shapes are known") {
  Shaped s(17);
  s.model.node("MatMul", {"x", "w"}, {"h"});
  s.model.constant("w", ramp({4, 6}));
  s.model.node("Shape", {"h"}, {"hs"});
  s.model.node("Gather", {"hs", "minus"}, {"width"});
  s.model.node("ReduceProd", {"hs"}, {"all"}, {{"keepdims", number(1)}, {"axes", Ints{0}}});
  s.model.node("Div", {"all", "width"}, {"lines"});
  s.model.node("Concat", {"lines", "width"}, {"to"}, {{"axis", number(0)}});
  s.model.node("Reshape", {"h", "to"}, {"y"});
  const Network net = s.import();
  CHECK(left(net) == Names{"MatMul", "Reshape"});
  CHECK(net.tensor(net.outputs[0]).shape == Shape{6, 6});
}

}  // namespace
}  // namespace bitplan
