#include "eval/data/dataset_tokens.hpp"

#include <algorithm>
#include <array>
#include <cassert>

#include "core/error.hpp"
#include "eval/data/dataset_checks.hpp"

namespace bitplan {
namespace {

bool is_integer(DType dtype) { return dtype == DType::i64 || dtype == DType::i32; }

/// What an input is by its name; ids when the name says nothing.
TokenInput::What what_of(const std::string& name) {
  if (name == "attention_mask") return TokenInput::What::mask;
  if (name == "position_ids") return TokenInput::What::positions;
  if (name == "token_type_ids") return TokenInput::What::zeros;
  return TokenInput::What::ids;
}

[[noreturn]] void refuse(const TensorInfo& input, const std::string& why) {
  throw InputError("tokens data: the network's input '" + input.name + "' is " + std::string(name_of(input.dtype)) +
                   ' ' + open_shape(input.shape) + "; " + why);
}

void check_input(const Network& network, const TensorInfo& input, TokenInput::What what) {
  const bool mask = what == TokenInput::What::mask;
  const bool type = is_integer(input.dtype) || (mask && (input.dtype == DType::f32 || input.dtype == DType::boolean));
  const bool shape = input.shape.size() == 2 && input.shape[0] == network.batch;
  if (type && shape) return;
  refuse(input,
         what == TokenInput::What::ids
             ? "tokens are int64 or int32 [N, length], and besides them only attention_mask, position_ids and "
               "token_type_ids are filled in; take kind npy for other inputs"
             : "it must be [N, length] of " + std::string(mask ? "int64, int32, float32 or bool" : "int64 or int32"));
}

/// Operators that pass indices on.
bool passes_on(const Node& node) {
  static constexpr std::array kNames{"Cast", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten"};
  return std::find(kNames.begin(), kNames.end(), node.op) != kNames.end();
}

}  // namespace

std::vector<TokenInput> token_inputs(const Network& network) {
  std::vector<TokenInput> inputs;
  for (const TensorId id : network.inputs) {
    const auto& input = network.tensor(id);
    const auto what = what_of(input.name);
    check_input(network, input, what);
    const bool second = what == TokenInput::What::ids && std::any_of(inputs.begin(), inputs.end(), [](const auto& i) {
                          return i.what == TokenInput::What::ids;
                        });
    if (second)
      refuse(input,
             "another input takes the token ids; besides them only attention_mask, position_ids and "
             "token_type_ids are filled in");
    inputs.push_back({what, id, input.dtype});
  }
  if (std::none_of(inputs.begin(), inputs.end(), [](const auto& i) { return i.what == TokenInput::What::ids; }))
    throw InputError("tokens data: the network has no input for token ids");
  return inputs;
}

const TokenInput& ids_of(const std::vector<TokenInput>& inputs) {
  const auto found =
      std::find_if(inputs.begin(), inputs.end(), [](const auto& i) { return i.what == TokenInput::What::ids; });
  assert(found != inputs.end());
  return *found;
}

std::optional<std::int64_t> vocabulary_of(const Network& network, TensorId ids) {
  for (const Layer& layer : network.layers) {
    if (layer.op != "Gather" || network.node(layer.node).integer("axis", 0) != 0) continue;
    TensorId indices = layer.input;
    while (indices != ids && network.tensor(indices).producer >= 0 &&
           passes_on(network.node(network.tensor(indices).producer)))
      indices = network.node(network.tensor(indices).producer).inputs.front();
    if (indices == ids) return layer.weight_shape.front();
  }
  return std::nullopt;
}

bool predicts_next_token(const Network& network, std::int64_t length, std::optional<std::int64_t> vocabulary) {
  const auto form = sequence_form(network);
  return form && form->positions == length && length > 1 && form->classes >= vocabulary.value_or(0);
}

}  // namespace bitplan
