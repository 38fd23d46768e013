#include "eval/data/dataset.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/hash.hpp"

namespace bitplan {
namespace {

/// Calls body; an InputError gets the place of the data in front: "exp.yaml:5:16: data.selection: <problem>".
template <class Body>
auto with_place(const std::string& place, const Body& body) {
  try {
    return body();
  } catch (const InputError& e) {
    throw InputError(place.empty() ? e.what() : place + ": " + e.what());
  }
}

class PlacedData final : public DataSet {
 public:
  PlacedData(std::unique_ptr<DataSet> data, std::string place) : data_(std::move(data)), place_(std::move(place)) {}
  std::int64_t samples() const override { return data_->samples(); }
  bool has_labels() const override { return data_->has_labels(); }
  Batch read(std::int64_t first, std::int64_t count) const override {
    return with_place(place_, [&] { return data_->read(first, count); });
  }

 private:
  std::unique_ptr<DataSet> data_;
  std::string place_;
};

}  // namespace

std::unique_ptr<DataSet> open_dataset(const DataSpec& spec, const Network& network) {
  return with_place(spec.place, [&]() -> std::unique_ptr<DataSet> {
    std::string known;
    for (const auto& kind : data_kinds()) {
      if (kind.name == spec.kind) return std::make_unique<PlacedData>(kind.open(spec, network), spec.place);
      known += (known.empty() ? "" : ", ") + std::string(kind.name);
    }
    throw InputError("'" + spec.kind + "' is not a kind of data; known: " + known);
  });
}

std::string fingerprint(const DataSet& data) {
  constexpr std::int64_t block =
      64;  // samples held at once; each is hashed for itself, so the value does not depend on it
  std::uint64_t hash = 0;
  for (std::int64_t first = 0; first < data.samples(); first += block) {
    const auto count = std::min(block, data.samples() - first);
    const auto batch = data.read(first, count);
    for (std::int64_t i = 0; i < count; ++i) {
      for (const auto& input : batch.inputs) {
        const auto width = input.byte_size() / static_cast<std::size_t>(count);
        hash = hash64({input.bytes() + static_cast<std::size_t>(i) * width, width}, hash);
      }
      const auto labels = batch.labels.size() / static_cast<std::size_t>(count);
      if (labels > 0)
        hash =
            hash64(std::as_bytes(std::span(batch.labels).subspan(static_cast<std::size_t>(i) * labels, labels)), hash);
    }
  }
  return hex(hash);
}

}  // namespace bitplan
