#include "model/operator.hpp"

#include <cmath>
#include <set>
#include <sstream>

#include "tests/catch.hpp"
#include "tests/model/operator_cases.hpp"

namespace bitplan::test {

Node node_of(const OperatorCase& c) {
  Node node;
  node.name = "n";
  node.op = c.op;
  node.opset = c.opset;
  node.attributes = c.attributes;
  for (std::size_t i = 0; i < c.inputs.size(); ++i)
    node.inputs.push_back(c.inputs[i] ? static_cast<TensorId>(i) : kNoTensor);
  for (std::size_t i = 0; i < c.expected.size(); ++i)
    node.outputs.push_back(static_cast<TensorId>(c.inputs.size() + i));
  return node;
}

}  // namespace bitplan::test

namespace bitplan {
namespace {

using namespace test;

std::vector<OperatorCase> all_cases() {
  std::vector<OperatorCase> all;
  for (const auto& part : {layer_cases(), pool_cases(), elementwise_cases(), reduce_cases(), view_cases(),
                           index_cases(), rare_cases(), attention_cases()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

/// Equal types and shapes; integers equal, floats within 1e-6 of the larger of 1 and the value; NaN equals NaN.
void check_equal(const Tensor& found, const Tensor& expected) {
  REQUIRE(found.dtype() == expected.dtype());
  REQUIRE(found.shape() == expected.shape());
  const Tensor a = found.cast(DType::f64), b = expected.cast(DType::f64);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double x = a.values<double>()[i], y = b.values<double>()[i];
    if (std::isnan(y))
      CHECK(std::isnan(x));
    else if (std::isinf(y))
      CHECK(x == y);
    else
      CHECK(std::abs(x - y) <= (expected.dtype() == DType::f32 ? 1e-6 * std::max(1.0, std::abs(y)) : 0));
  }
}

TEST_CASE("every operator computes its hand-computed cases, and infers their shapes and types") {
  for (const OperatorCase& c : all_cases()) {
    INFO(c.op << ", opset " << c.opset << ": " << c.name);
    const Operator* op = find_operator(c.op);
    REQUIRE(op != nullptr);
    const Node node = node_of(c);
    std::vector<const Tensor*> inputs;
    std::vector<TensorFacts> facts(c.inputs.size());
    std::vector<const TensorFacts*> known;
    for (std::size_t i = 0; i < c.inputs.size(); ++i) {
      inputs.push_back(c.inputs[i] ? &*c.inputs[i] : nullptr);
      if (c.inputs[i]) facts[i] = {c.inputs[i]->dtype(), c.inputs[i]->shape(), *c.inputs[i]};
      known.push_back(c.inputs[i] ? &facts[i] : nullptr);
    }
    const auto inferred = op->infer(node, known);
    const auto outputs = op->evaluate(node, inputs);
    REQUIRE(inferred.size() == c.expected.size());
    REQUIRE(outputs.size() == c.expected.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      check_equal(outputs[i], c.expected[i]);
      CHECK(inferred[i].dtype == outputs[i].dtype());
      CHECK(inferred[i].shape == outputs[i].shape());
      if (inferred[i].constant) check_equal(*inferred[i].constant, c.expected[i]);
    }
  }
}

TEST_CASE("every row of the operator table has its functions, plausible counts, and a hand-computed case") {
  std::set<std::string> covered;
  for (const OperatorCase& c : all_cases()) covered.insert(c.op);
  std::string last;
  for (const Operator& op : operators()) {
    INFO(op.name);
    CHECK(op.infer != nullptr);
    CHECK(op.evaluate != nullptr);
    CHECK(op.min_inputs >= 0);
    CHECK(op.max_inputs >= op.min_inputs);
    CHECK(op.max_outputs >= 1);
    CHECK(last < op.name);
    CHECK(covered.count(std::string(op.name)) == 1);
    CHECK(find_operator(op.name) == &op);
    last = op.name;
  }
  CHECK(find_operator("LSTM") == nullptr);
  CHECK(find_operator("") == nullptr);
}

TEST_CASE("the cases use only attributes and counts that the table knows") {
  for (const OperatorCase& c : all_cases()) {
    INFO(c.op << ": " << c.name);
    const Operator& op = *find_operator(c.op);
    CHECK(static_cast<int>(c.inputs.size()) >= op.min_inputs);
    CHECK(static_cast<int>(c.inputs.size()) <= op.max_inputs);
    CHECK(static_cast<int>(c.expected.size()) <= op.max_outputs);
    CHECK(c.opset >= op.since);
    for (const auto& [name, value] : c.attributes) {
      std::istringstream words{std::string(op.attributes)};
      bool known = false;  // "axes@18": since opset 18
      for (std::string word; words >> word;)
        known = known || word == name ||
                (word.starts_with(name + "@") && std::stoi(word.substr(name.size() + 1)) <= c.opset);
      INFO(name);
      CHECK(known);
    }
  }
}

}  // namespace
}  // namespace bitplan
