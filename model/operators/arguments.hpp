#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "model/operator.hpp"

// What every operator asks of its node and inputs. All throw InputError naming the node.
namespace bitplan {

using Facts = std::vector<TensorFacts>;
using FactsIn = std::span<const TensorFacts* const>;
using TensorsIn = std::span<const Tensor* const>;

/// Input i, null when the node has fewer inputs or leaves this one out.
template <class T>
const T* optional_input(std::span<const T* const> inputs, std::size_t i) {
  return i < inputs.size() ? inputs[i] : nullptr;
}

/// A result of type and shape; fails when the shape is negative somewhere or absurdly large.
TensorFacts make_facts(const Node& node, DType dtype, Shape shape);
/// The usual answer: one output.
Facts one_output(const Node& node, DType dtype, Shape shape);

/// Counts axes from the end when negative; fails outside -rank … rank - 1.
std::size_t axis_of(const Node& node, std::int64_t axis, std::size_t rank);
/// The same for a list, in rising order; fails on repeated axes.
std::vector<std::size_t> axes_of(const Node& node, std::span<const std::int64_t> axes, std::size_t rank);

void require_type(const Node& node, const TensorFacts& input, std::initializer_list<DType> allowed);
void require_number(const Node& node, const TensorFacts& input);  ///< any type but bool and the 16-bit floats
void require_same_type(const Node& node, FactsIn inputs);
void require_rank(const Node& node, const TensorFacts& input, std::size_t least, std::size_t most);

/// The element type that an attribute names by its TensorProto.DataType, as we compute it.
DType type_attribute(const Node& node, const char* key);

/// A shape or size depends on values that are known only when the network runs. Import adds the output's name.
struct DataDependent : InputError {
  using InputError::InputError;
};
[[noreturn]] void fail_data_dependent(const Node& node, const std::string& what);

/// The integers of input i, which must be known at import. `what` is the ONNX name of the input.
std::vector<std::int64_t> known_integers(const Node& node, FactsIn inputs, std::size_t i, const char* what);
/// A list of axes or sizes that is an attribute before opset `since` and input i from then on; `fallback` when absent.
std::vector<std::int64_t> attribute_or_input(const Node& node, FactsIn inputs, const char* attribute, int since,
                                             std::size_t i, const std::vector<std::int64_t>& fallback);

/// The NumPy broadcast of shapes; fails when they do not fit.
Shape broadcast(const Node& node, const Shape& a, const Shape& b);

/// Tensors seen as facts with known values: evaluate makes its plan with the same function as infer.
class KnownInputs {
 public:
  explicit KnownInputs(TensorsIn inputs);
  operator FactsIn() const { return pointers_; }

 private:
  Facts facts_;
  std::vector<const TensorFacts*> pointers_;
};

}  // namespace bitplan
