#include <algorithm>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "model/import/draft.hpp"

namespace bitplan {
namespace {

/// "[batch, 3, ?, 32]"
std::string declared_text(const DeclaredInput& input) {
  std::string text;
  for (const auto& d : input.shape)
    text += (text.empty() ? "" : ", ") + (d.size > 0 ? std::to_string(d.size) : d.symbol.empty() ? "?" : d.symbol);
  return "[" + text + "]";
}

/// "x=Nx3xHxW": what the user may write, with the free dimensions as letters.
std::string example(const DeclaredInput& input) {
  std::string text;
  for (std::size_t d = 0; d < input.shape.size(); ++d)
    text += (d == 0 ? "" : "x") + (input.shape[d].size > 0 ? std::to_string(input.shape[d].size)
                                   : d == 0                ? "N"
                                                           : "SIZE");
  return "--shape " + input.name + "=" + text;
}

class Binder {
 public:
  Binder(Draft& draft, const ImportOptions& options) : draft_(draft), options_(options) {
    for (const auto& input : draft.inputs) {
      written_[input.name] = declared_text(input);
      example_[input.name] = example(input);
    }
  }

  void bind() {
    if (options_.batch < 1)
      throw InputError("the batch is " + std::to_string(options_.batch) + "; at least 1 is needed");
    for (const auto& [name, shape] : options_.shapes) check_name(name);
    for (auto& input : draft_.inputs) apply_user_shape(input);
    for (auto& input : draft_.inputs) apply_batch(input);
    for (auto& input : draft_.inputs) apply_sequence(input);
    for (auto& input : draft_.inputs) finish(input);
    draft_.network.batch = common_batch();
  }

 private:
  void check_name(const std::string& name) const {
    std::string known;
    for (const auto& input : draft_.inputs) {
      if (input.name == name) return;
      known += (known.empty() ? "" : ", ") + input.name;
    }
    throw InputError("--shape " + name + "=…: the model has no input '" + name + "'; its inputs: " + known);
  }

  /// A symbol stands for one size wherever it occurs.
  void bind_symbol(const DeclaredInput& input, const std::string& symbol, std::int64_t size) {
    const auto [place, added] = symbols_.emplace(symbol, size);
    if (!added && place->second != size)
      throw InputError("input '" + input.name + "': dimension '" + symbol + "' is " + std::to_string(size) +
                       " here and " + std::to_string(place->second) + " in another place");
  }

  void apply_user_shape(DeclaredInput& input) {
    const auto found = options_.shapes.find(input.name);
    if (found == options_.shapes.end()) return;
    const Shape& wanted = found->second;
    const std::string given = "--shape " + input.name + "=" + to_string(wanted);
    if (input.has_shape && wanted.size() != input.shape.size())
      throw InputError(given + ": input '" + input.name + "' is " + written_.at(input.name) + ", which has " +
                       std::to_string(input.shape.size()) + " dimensions");
    input.shape.resize(wanted.size());
    input.has_shape = true;
    for (std::size_t d = 0; d < wanted.size(); ++d) {
      auto& dimension = input.shape[d];
      if (wanted[d] == -1 && d == 0) continue;  // the batch
      if (wanted[d] < 1) throw InputError(given + ": dimension " + std::to_string(d) + " must be positive");
      if (dimension.size > 0 && dimension.size != wanted[d])
        throw InputError(given + ": input '" + input.name + "' is " + written_.at(input.name) + " in the file");
      if (dimension.size < 0 && d == 0) batch_ = wanted[d];
      if (dimension.size < 0 && !dimension.symbol.empty()) bind_symbol(input, dimension.symbol, wanted[d]);
      dimension.size = wanted[d];
    }
  }

  void apply_batch(DeclaredInput& input) {
    if (!input.has_shape)
      throw InputError("input '" + input.name + "' has no shape in the file; give it with --shape " + input.name +
                       "=1x3x32x32");
    if (input.shape.empty() || input.shape[0].size > 0) return;
    auto& first = input.shape[0];
    if (!first.symbol.empty()) {
      symbols_.emplace(first.symbol, options_.batch);
      first.size = symbols_.at(first.symbol);
    } else {
      first.size = options_.batch;
    }
    batch_ = first.size;
  }

  /// A free sequence of token ids; its symbol stands for the same size in the other inputs.
  void apply_sequence(DeclaredInput& input) {
    const auto type = draft_.tensor(input.tensor).dtype;
    if (options_.sequence < 1 || (type != DType::i64 && type != DType::i32) || input.shape.size() != 2) return;
    auto& length = input.shape[1];
    if (length.size >= 0 || symbols_.contains(length.symbol)) return;
    if (length.symbol.empty())
      length.size = options_.sequence;
    else
      symbols_.emplace(length.symbol, options_.sequence);
  }

  void finish(DeclaredInput& input) {
    Shape shape;
    for (auto& dimension : input.shape) {
      const auto bound = symbols_.find(dimension.symbol);
      if (dimension.size < 0 && !dimension.symbol.empty() && bound != symbols_.end()) dimension.size = bound->second;
      if (dimension.size < 0)
        throw InputError("input '" + input.name + "' is " + written_.at(input.name) +
                         ": bind its free dimensions with " + example_.at(input.name));
      shape.push_back(dimension.size);
    }
    if (element_count(shape) > kMostElements)
      throw InputError("input '" + input.name + "' of shape " + to_string(shape) + " has more than 2^31 elements");
    draft_.tensor(input.tensor).shape = shape;
  }

  /// What the free leading dimension became; without one, the leading dimension that all inputs share, else 1.
  std::int64_t common_batch() const {
    if (batch_) return *batch_;
    std::set<std::int64_t> leading;
    for (const auto& input : draft_.inputs)
      if (!input.shape.empty()) leading.insert(input.shape[0].size);
    return leading.size() == 1 ? *leading.begin() : 1;
  }

  static constexpr std::int64_t kMostElements = std::int64_t{1} << 31;
  Draft& draft_;
  const ImportOptions& options_;
  std::map<std::string, std::string> written_, example_;  ///< by input: its shape in the file, how to give another
  std::map<std::string, std::int64_t> symbols_;
  std::optional<std::int64_t> batch_;
};

}  // namespace

void bind_shapes(Draft& draft, const ImportOptions& options) { Binder(draft, options).bind(); }

}  // namespace bitplan
