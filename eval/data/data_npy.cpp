#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <map>

#include "core/error.hpp"
#include "core/npy.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/data/dataset_kinds.hpp"

namespace bitplan {
namespace {

/// An array and the words that name it in messages.
struct Source {
  std::string name;
  Tensor values;
};

/// Opens "file.npy", "file.npz:member" or "file.npz" (then the member is `fallback`). Archives are read once.
class Sources {
 public:
  Source open(const std::filesystem::path& path, const std::string& fallback) {
    const auto text = path.string();
    const auto archive = text.rfind(".npz");
    if (archive == std::string::npos) return {text, read_npy(path)};
    const auto end = archive + 4;
    if (end != text.size() && text[end] != ':') return {text, read_npy(path)};
    const auto file = text.substr(0, end), member = end == text.size() ? fallback : text.substr(end + 1);
    if (!archives_.contains(file)) archives_.emplace(file, read_npz(file));
    const auto& members = archives_.at(file);
    if (const auto found = members.find(member); found != members.end()) return {file + ':' + member, found->second};
    std::string known;
    for (const auto& [name, ignored] : members) known += (known.empty() ? "" : ", ") + name;
    throw InputError(file + ": there is no member '" + member + "'; known: " + known);
  }

 private:
  std::map<std::string, std::map<std::string, Tensor>> archives_;
};

bool is_float(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f32 || dtype == DType::f64;
}

/// Samples first … first + count - 1 of an array, a view.
Tensor rows(const Tensor& t, std::int64_t first, std::int64_t count) {
  auto shape = t.shape();
  const auto width = t.byte_size() / static_cast<std::size_t>(shape[0]);
  shape[0] = count;
  return {t.dtype(), shape, t.bytes() + static_cast<std::size_t>(first) * width, std::make_shared<Tensor>(t)};
}

/// The files' shape and type against the input's: every dimension but the first, numbers for float, integers for
/// integer.
void check_fit(const Source& source, const TensorInfo& input, std::int64_t batch) {
  const auto& have = source.values.shape();
  const auto& want = input.shape;
  if (want.empty() || want[0] != batch)
    throw InputError("the network's input '" + input.name + "' is " + to_string(want) +
                     ": its leading dimension is not the batch of " + std::to_string(batch));
  if (have.size() != want.size() || !std::equal(want.begin() + 1, want.end(), have.begin() + 1))
    throw InputError(source.name + " is " + to_string(have) + ", the network's input '" + input.name + "' is " +
                     open_shape(want));
  const bool fits = input.dtype == DType::f32 || (!is_float(input.dtype) && !is_float(source.values.dtype()));
  if (!fits)
    throw InputError(source.name + " is " + std::string(name_of(source.values.dtype())) + ", the network's input '" +
                     input.name + "' is " + std::string(name_of(input.dtype)) +
                     "; inputs may be float32 from numbers, or integers from integers");
}

class NpyData final : public DataSet {
 public:
  NpyData(const DataSpec& spec, const Network& network) {
    Sources sources;
    check_names(spec, network);
    for (const auto id : network.inputs) {
      const auto& input = network.tensor(id);
      const auto path = std::find_if(spec.inputs.begin(), spec.inputs.end(), [&](const auto& i) {
                          return i.first == input.name;
                        })->second;
      inputs_.push_back(sources.open(path, input.name));
      check_fit(inputs_.back(), input, network.batch);
      types_.push_back(input.dtype);
      check_same_samples(inputs_.back());
    }
    window_ = sample_window(spec, inputs_[0].values.shape()[0], inputs_[0].name);
    if (spec.labels) open_labels(sources.open(*spec.labels, "labels"), network);
  }

  std::int64_t samples() const override { return window_.count; }
  bool has_labels() const override { return !labels_.empty(); }

  Batch read(std::int64_t first, std::int64_t count) const override {
    assert(first >= 0 && count >= 0 && first + count <= window_.count);
    Batch batch;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      batch.inputs.push_back(convert(inputs_[i], types_[i], window_.first + first, count));
    if (!labels_.empty())
      batch.labels.assign(labels_.begin() + first * positions_, labels_.begin() + (first + count) * positions_);
    return batch;
  }

 private:
  static void check_names(const DataSpec& spec, const Network& network) {
    std::string known;
    for (const auto id : network.inputs) known += (known.empty() ? "" : ", ") + network.tensor(id).name;
    const auto is_input = [&](const std::string& name) {
      return std::any_of(network.inputs.begin(), network.inputs.end(),
                         [&](TensorId id) { return network.tensor(id).name == name; });
    };
    for (const auto& [name, path] : spec.inputs)
      if (!is_input(name)) throw InputError("inputs: the network has no input '" + name + "'; known: " + known);
    for (const auto id : network.inputs) {
      const auto& name = network.tensor(id).name;
      if (std::none_of(spec.inputs.begin(), spec.inputs.end(), [&](const auto& i) { return i.first == name; }))
        throw InputError("inputs: the network's input '" + name + "' is missing");
    }
    if (spec.inputs.empty()) throw InputError("inputs: the network has no inputs");
  }

  void check_same_samples(const Source& source) const {
    const auto here = source.values.shape()[0], first = inputs_[0].values.shape()[0];
    if (here != first)
      throw InputError(source.name + " has " + std::to_string(here) + " samples, " + inputs_[0].name + " has " +
                       std::to_string(first));
  }

  void open_labels(const Source& source, const Network& network) {
    const auto form = sequence_form(network);
    const auto& shape = source.values.shape();
    if (form) positions_ = form->positions;
    const bool fits = form ? shape.size() == 2 && shape[1] == positions_ : shape.size() == 1;
    if (is_float(source.values.dtype()) || !fits)
      throw InputError(source.name + ": labels must be integers of shape [samples" +
                       (form ? ", " + std::to_string(positions_) : "") + "], are " +
                       std::string(name_of(source.values.dtype())) + ' ' + to_string(shape));
    check_same_samples(source);
    labels_ = rows(source.values, window_.first, window_.count).integers();
    for (std::size_t i = 0; i < labels_.size(); ++i)
      check_one(network, form, source, static_cast<std::int64_t>(i), labels_[i]);
  }

  /// Of several positions a negative label says that one has none.
  void check_one(const Network& network, const std::optional<SequenceForm>& form, const Source& source, std::int64_t at,
                 std::int64_t label) const {
    const auto sample = window_.first + at / positions_;
    if (!form) return check_label(network, source.name, sample, label);
    if (label < form->classes) return;
    throw InputError(source.name + ": sample " + std::to_string(sample) + ", position " +
                     std::to_string(at % positions_) + " (counted from 0) has label " + std::to_string(label) +
                     "; allowed: 0 to " + std::to_string(form->classes - 1) + ", negative for none");
  }

  /// Rows in the type of the input. Throws InputError on values that are not finite or do not fit the type.
  static Tensor convert(const Source& source, DType dtype, std::int64_t first, std::int64_t count) {
    const auto part = rows(source.values, first, count);
    auto out = part.cast(dtype);
    const auto bad = first_bad(part, out);
    if (bad == out.size()) return out;
    const auto sample = first + static_cast<std::int64_t>(bad / (out.size() / static_cast<std::size_t>(count)));
    const auto problem =
        dtype == DType::f32 ? "a NaN or infinite value" : "a value that does not fit " + std::string(name_of(dtype));
    throw InputError(source.name + ": sample " + std::to_string(sample) + " (counted from 0) has " + problem);
  }

  static std::size_t first_bad(const Tensor& from, const Tensor& to) {
    if (to.dtype() == DType::f32) {
      const auto values = to.values<float>();
      return static_cast<std::size_t>(
          std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); }) - values.begin());
    }
    if (to.dtype() == from.dtype() || to.dtype() == DType::boolean) return to.size();
    const auto a = from.integers(), b = to.integers();
    // As int64, a uint64 above its range looks negative.
    const bool loses_sign = (from.dtype() == DType::u64) != (to.dtype() == DType::u64);
    const auto fits = [&](std::int64_t x, std::int64_t y) { return x == y && !(loses_sign && x < 0); };
    return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), fits).first - a.begin());
  }

  std::vector<Source> inputs_;
  std::vector<DType> types_;
  std::vector<std::int64_t> labels_;
  std::int64_t positions_ = 1;  ///< labels a sample
  SampleWindow window_;
};

void read_keys(const Yaml& node, DataSpec& spec) {
  const auto inputs = node.at("inputs");
  for (const auto& name : inputs.keys()) spec.inputs.emplace_back(name, inputs.at(name).path());
  if (spec.inputs.empty()) inputs.fail("must name the network's inputs: {name: file.npy}");
  if (const auto labels = node.find("labels")) spec.labels = labels->path();
}

std::unique_ptr<DataSet> open(const DataSpec& spec, const Network& network) {
  return std::make_unique<NpyData>(spec, network);
}

}  // namespace

DataKind npy_kind() {
  return {"npy",
          "NumPy arrays, one an input, from .npy files or members of .npz archives",
          {"inputs", "labels"},
          read_keys,
          open};
}

}  // namespace bitplan
