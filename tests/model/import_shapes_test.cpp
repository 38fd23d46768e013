#include "tests/catch.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan {
namespace {

using namespace test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

OnnxModel relu_of(const std::vector<std::string>& shape) {
  OnnxModel model;
  model.input("x", shape);
  model.node("Relu", {"x"}, {"y"});
  model.output("y");
  return model;
}

Shape bound(const OnnxModel& model, const ImportOptions& options) {
  const Network net = model.import(options);
  return net.tensor(net.outputs[0]).shape;
}

TEST_CASE("a symbolic or unnamed first dimension is the batch") {
  CHECK(bound(relu_of({"batch", "3"}), {.shapes = {}, .batch = 7}) == Shape{7, 3});
  CHECK(bound(relu_of({"?", "3"}), {.shapes = {}, .batch = 7}) == Shape{7, 3});
  CHECK(bound(relu_of({"-1", "3"}), {.shapes = {}, .batch = 7}) == Shape{7, 3});
  CHECK(relu_of({"batch", "3"}).import({.shapes = {}, .batch = 7}).batch == 7);
}

TEST_CASE("a fixed batch stays") {
  CHECK(bound(relu_of({"2", "3"}), {.shapes = {}, .batch = 7}) == Shape{2, 3});
  CHECK(bound(relu_of({"2", "3"}), {.shapes = {{"x", {-1, 3}}}, .batch = 7}) == Shape{2, 3});
  CHECK(relu_of({"2", "3"}).import({.shapes = {}, .batch = 7}).batch == 2);
}

TEST_CASE("an input that all samples share does not hide the batch") {
  OnnxModel model;
  model.input("x", {"batch", "2"}).input("shared", {"1", "2"}).constant("w", ramp({2, 3}));
  model.node("Add", {"x", "shared"}, {"s"});
  model.node("MatMul", {"s", "w"}, {"y"});
  const Network net = model.output("y").import({.shapes = {}, .batch = 4});
  CHECK(net.batch == 4);
  CHECK(net.layers[0].macs == 6);
}

TEST_CASE("shapes that the user gives bind free dimensions, with -1 for the batch") {
  CHECK(bound(relu_of({"batch", "3", "h", "w"}), {.shapes = {{"x", {-1, 3, 8, 9}}}, .batch = 2}) == Shape{2, 3, 8, 9});
  CHECK(bound(relu_of({"batch", "3", "h", "w"}), {.shapes = {{"x", {5, 3, 8, 9}}}, .batch = 2}) == Shape{5, 3, 8, 9});
}

TEST_CASE("a symbol has one size in all inputs") {
  OnnxModel model;
  model.input("a", {"batch", "t"}).input("b", {"batch", "t"});
  model.node("Add", {"a", "b"}, {"y"});
  model.output("y");
  CHECK(bound(model, {.shapes = {{"a", {-1, 6}}}, .batch = 3}) == Shape{3, 6});
  CHECK_THAT(import_error(model, {.shapes = {{"a", {-1, 6}}, {"b", {-1, 5}}}, .batch = 3}),
             EndsWith("input 'b': dimension 't' is 5 here and 6 in another place"));
}

TEST_CASE("a dimension that nobody binds is an error that says how to bind it") {
  CHECK_THAT(import_error(relu_of({"batch", "3", "h", "?"})),
             EndsWith("input 'x' is [batch, 3, h, ?]: bind its free dimensions with --shape x=Nx3xSIZExSIZE"));
}

TEST_CASE("wrong shapes are refused with what the file says") {
  const auto error = [](Shape shape) {
    return import_error(relu_of({"batch", "3"}), {.shapes = {{"x", std::move(shape)}}, .batch = 1});
  };
  CHECK_THAT(error({1, 4}), EndsWith("--shape x=1x4: input 'x' is [batch, 3] in the file"));
  CHECK_THAT(error({1, 3, 2}), EndsWith("--shape x=1x3x2: input 'x' is [batch, 3], which has 2 dimensions"));
  CHECK_THAT(error({1, -1}), EndsWith("--shape x=1x-1: dimension 1 must be positive"));
  CHECK_THAT(error({0, 3}), EndsWith("--shape x=0x3: dimension 0 must be positive"));
  CHECK_THAT(import_error(relu_of({"batch", "3"}), {.shapes = {{"z", {1, 3}}}, .batch = 1}),
             EndsWith("--shape z=…: the model has no input 'z'; its inputs: x"));
  CHECK_THAT(import_error(relu_of({"batch", "3"}), {.shapes = {}, .batch = 0}),
             EndsWith("the batch is 0; at least 1 is needed"));
  CHECK_THAT(import_error(relu_of({"2", "4000000000"})), EndsWith("has more than 2^31 elements"));
}

TEST_CASE("an input without a shape needs one from the user") {
  OnnxModel model = relu_of({});
  model.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->clear_shape();
  CHECK_THAT(import_error(model), Contains("input 'x' has no shape in the file; give it with --shape x="));
  CHECK(bound(model, {.shapes = {{"x", {-1, 4}}}, .batch = 2}) == Shape{2, 4});
}

TEST_CASE("initializers that are also inputs are constants") {
  OnnxModel model;
  model.input("x", {"1"}).input("w", {"1"}).constant("w", f32({1}, {2}));
  model.node("Mul", {"x", "w"}, {"y"});
  const Network net = model.output("y").import();
  CHECK(net.inputs.size() == 1);
}

}  // namespace
}  // namespace bitplan
