#include <algorithm>
#include <cassert>
#include <cstring>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/npy.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/data/dataset_kinds.hpp"
#include "eval/data/dataset_tokens.hpp"

namespace bitplan {
namespace {

bool is_binary(const DataSpec& spec) { return spec.file.extension() == ".bin"; }

bool is_integer(DType dtype) {
  return dtype != DType::f16 && dtype != DType::bf16 && dtype != DType::f32 && dtype != DType::f64 &&
         dtype != DType::boolean;
}

/// Token windows [total, length] in the type of their file.
Tensor read_npy_windows(const DataSpec& spec) {
  const auto name = spec.file.string();
  auto tokens = read_npy(spec.file);
  if (!is_integer(tokens.dtype()) || tokens.shape().size() != 2)
    throw InputError(name + " is " + std::string(name_of(tokens.dtype())) + ' ' + to_string(tokens.shape()) +
                     "; tokens are integers [windows, length]");
  return tokens;
}

/// Headerless little-endian uint16; what does not fill a window at the end is left out.
Tensor read_bin_windows(const DataSpec& spec) {
  const auto name = spec.file.string();
  const auto file = MappedFile::open(spec.file);
  const auto bytes = static_cast<std::int64_t>(file->bytes().size());
  if (bytes % 2 != 0)
    throw InputError(name + ": " + std::to_string(bytes) + " bytes are no whole number of uint16 tokens");
  const auto windows = bytes / 2 / *spec.window;
  if (windows == 0)
    throw InputError(name + " has " + std::to_string(bytes / 2) + " tokens, a window takes " +
                     std::to_string(*spec.window));
  return {DType::u16, {windows, *spec.window}, file->bytes().data(), file};
}

class Tokens final : public DataSet {
 public:
  Tokens(const DataSpec& spec, const Network& network) : name_(spec.file.string()), inputs_(token_inputs(network)) {
    tokens_ = is_binary(spec) ? read_bin_windows(spec) : read_npy_windows(spec);
    length_ = tokens_.shape()[1];
    for (const auto& input : inputs_) check_window(network.tensor(input.tensor));
    window_ = sample_window(spec, tokens_.shape()[0], name_);
    vocabulary_ = vocabulary_of(network, ids_of(inputs_).tensor);
    predicts_ = predicts_next_token(network, length_, vocabulary_);
    // Without an embedding in sight a token must at least have a logit.
    if (!vocabulary_ && predicts_) vocabulary_ = sequence_form(network)->classes;
  }

  std::int64_t samples() const override { return window_.count; }
  bool has_labels() const override { return predicts_; }

  Batch read(std::int64_t first, std::int64_t count) const override {
    assert(first >= 0 && count >= 0 && first + count <= window_.count);
    const auto ids = windows(window_.first + first, count);
    Batch batch;
    for (const auto& input : inputs_) batch.inputs.push_back(input_values(input, ids, count));
    if (predicts_) batch.labels = next_tokens(ids);
    return batch;
  }

 private:
  void check_window(const TensorInfo& input) const {
    if (input.shape[1] == length_) return;
    throw InputError(name_ + " has windows of " + std::to_string(length_) + " tokens, the network's input '" +
                     input.name + "' is " + open_shape(input.shape));
  }

  std::vector<std::int64_t> windows(std::int64_t first, std::int64_t count) const {
    const auto bytes = static_cast<std::size_t>(length_) * size_of(tokens_.dtype());
    const Tensor part(tokens_.dtype(), {count, length_}, tokens_.bytes() + static_cast<std::size_t>(first) * bytes,
                      std::make_shared<Tensor>(tokens_));
    auto ids = part.integers();
    for (std::size_t i = 0; i < ids.size(); ++i) check_token(ids[i], first, static_cast<std::int64_t>(i));
    return ids;
  }

  void check_token(std::int64_t id, std::int64_t first, std::int64_t at) const {
    if (id >= 0 && (!vocabulary_ || id < *vocabulary_)) return;
    throw InputError(name_ + ": window " + std::to_string(first + at / length_) + ", position " +
                     std::to_string(at % length_) + " (counted from 0) has token " + std::to_string(id) +
                     "; allowed: " + (vocabulary_ ? "0 to " + std::to_string(*vocabulary_ - 1) : "0 and above"));
  }

  Tensor input_values(const TokenInput& input, const std::vector<std::int64_t>& ids, std::int64_t count) const {
    std::vector<std::int64_t> values(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto position = static_cast<std::int64_t>(i) % length_;
      values[i] = input.what == TokenInput::What::ids         ? ids[i]
                  : input.what == TokenInput::What::mask      ? 1
                  : input.what == TokenInput::What::positions ? position
                                                              : 0;
    }
    return Tensor::of({count, length_}, values).cast(input.dtype);
  }

  /// Position t of a window is to predict token t + 1; the last has nothing to predict.
  std::vector<std::int64_t> next_tokens(const std::vector<std::int64_t>& ids) const {
    std::vector<std::int64_t> labels(ids.size(), -1);
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      if (static_cast<std::int64_t>(i + 1) % length_ != 0) labels[i] = ids[i + 1];
    return labels;
  }

  std::string name_;
  std::vector<TokenInput> inputs_;
  Tensor tokens_;
  std::int64_t length_ = 0;
  SampleWindow window_;
  std::optional<std::int64_t> vocabulary_;
  bool predicts_ = false;  ///< the network's output has logits for the next token
};

void read_keys(const Yaml& node, DataSpec& spec) {
  spec.file = node.at("file").path();
  constexpr std::int64_t longest = std::int64_t{1} << 24;
  const auto window = node.find("window");
  if (is_binary(spec)) {
    spec.window = node.at("window").integer_in(1, longest);
  } else if (spec.file.extension() != ".npy") {
    node.at("file").fail("'" + spec.file.filename().string() +
                         "': tokens are read from .npy [windows, length] or .bin (uint16, with window)");
  } else if (window) {
    window->fail("is read only with a .bin file; the windows of a .npy file are its rows");
  }
}

std::unique_ptr<DataSet> open(const DataSpec& spec, const Network& network) {
  return std::make_unique<Tokens>(spec, network);
}

}  // namespace

std::int64_t token_window(const DataSpec& spec) {
  return is_binary(spec) ? *spec.window : read_npy_windows(spec).shape()[1];
}

DataKind tokens_kind() {
  return {"tokens",
          "windows of token ids, from .npy [windows, length] or uint16 .bin",
          {"file", "window"},
          read_keys,
          open};
}

}  // namespace bitplan
