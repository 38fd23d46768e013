#include <cassert>

#include "core/error.hpp"
#include "core/files.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/data/dataset_kinds.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kSide = 32, kPixels = kSide * kSide, kRecord = 1 + 3 * kPixels;

/// Krizhevsky 2009, binary version: records of one label byte, then 1024 red, 1024 green and 1024 blue bytes,
/// row-major.
class Cifar10 final : public DataSet {
 public:
  Cifar10(const DataSpec& spec, const Network& network) : pixels_(spec) {
    require_image_input(spec.kind, network, kSide, kSide);
    file_ = MappedFile::open(spec.file);
    const auto name = spec.file.string();
    const auto size = static_cast<std::int64_t>(file_->bytes().size());
    if (size % kRecord != 0)
      throw InputError(name + ": " + std::to_string(size) + " bytes are no whole number of CIFAR-10 records of " +
                       std::to_string(kRecord) + " bytes");
    window_ = sample_window(spec, size / kRecord, name);
    if (!class_count(network)) return;
    for (std::int64_t i = window_.first; i < window_.first + window_.count; ++i)
      check_label(network, name, i, record(i)[0]);
  }

  std::int64_t samples() const override { return window_.count; }
  bool has_labels() const override { return true; }

  Batch read(std::int64_t first, std::int64_t count) const override {
    assert(first >= 0 && count >= 0 && first + count <= window_.count);
    Batch batch;
    Tensor images(DType::f32, {count, 3, kSide, kSide});
    auto* out = images.writable<float>().data();
    for (std::int64_t i = 0; i < count; ++i) {
      const auto* bytes = record(window_.first + first + i);
      batch.labels.push_back(bytes[0]);
      for (std::int64_t p = 0; p < 3 * kPixels; ++p)
        *out++ = pixels_(static_cast<std::size_t>(p / kPixels), bytes[1 + p]);
    }
    batch.inputs.push_back(std::move(images));
    return batch;
  }

 private:
  const std::uint8_t* record(std::int64_t index) const {
    return reinterpret_cast<const std::uint8_t*>(file_->bytes().data()) + index * kRecord;
  }

  PixelTable pixels_;
  std::shared_ptr<const MappedFile> file_;
  SampleWindow window_;
};

void read_keys(const Yaml& node, DataSpec& spec) {
  spec.file = node.at("file").path();
  read_normalization(node, spec);
}

std::unique_ptr<DataSet> open(const DataSpec& spec, const Network& network) {
  return std::make_unique<Cifar10>(spec, network);
}

}  // namespace

DataKind cifar10_kind() {
  return {"cifar10", "a file of 3073-byte CIFAR-10 records", {"file", "mean", "std"}, read_keys, open};
}

}  // namespace bitplan
