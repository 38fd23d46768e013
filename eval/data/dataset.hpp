#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.hpp"
#include "core/yaml.hpp"
#include "model/network.hpp"

namespace bitplan {

/// Consecutive samples of a data set: one tensor per network input (in the network's order, leading dimension =
/// samples) and, where the data have labels, equally many per sample: one, or one a position of its output [T, C]
/// (negative: none).
struct Batch {
  std::vector<Tensor> inputs;
  std::vector<std::int64_t> labels;
};

/// Samples on disk. Reading is deterministic, thread-safe and independent of how it is cut into batches.
/// What is small is checked when the data are opened (files, shapes, types, labels); values are checked when they are
/// read.
class DataSet {
 public:
  virtual ~DataSet() = default;
  virtual std::int64_t samples() const = 0;
  virtual bool has_labels() const = 0;
  /// Samples first … first + count - 1. Throws InputError naming file and sample on NaN, damaged images, labels out of
  /// range.
  virtual Batch read(std::int64_t first, std::int64_t count) const = 0;
};

/// One of `data.calibration`, `data.selection`, `data.holdout`. All kinds take `first` (0) and `samples` (all that
/// follow).
///
/// cifar10: `file` of records of 1 label byte and 3072 planar RGB bytes; `mean`, `std`.
///
/// npy: `inputs: {name: file.npy | file.npz | file.npz:member}` with the samples as leading dimension, `labels`
/// likewise, integers [samples], or [samples, T] for an output [N, T, C] (negative: none). A bare file.npz means its
/// member `name`, or `labels` for the labels. Any numbers become the float32 of an input, integers the integers of an
/// input. NaN, infinite and overflowing values are errors.
///
/// images: `root` with labels.csv (`file,label` a line, samples in that order) or one folder per class (classes and
/// files in byte order of their names); `resize`, `crop`, `mean`, `std`. JPEG as libjpeg-turbo decodes it by default;
/// PNG as stored, without gamma (16-bit samples keep their high byte, alpha is dropped); grey becomes RGB.
///   resize  the shorter side becomes that, the longer floor(resize * longer / shorter), bilinear with antialiasing:
///           Pillow's Image.resize(BILINEAR) bit for bit (dataset_image.hpp). An image that has crop x crop pixels
///           already is taken as it is.
///   crop    the centre square, from row floor((h - crop) / 2) and column floor((w - crop) / 2)
///
/// tokens: `file`, .npy [windows, length] of integers, or headerless little-endian uint16 .bin cut into `window` tokens
/// (what does not fill a window at the end is left out). A sample is a window; its labels are the next tokens, when the
/// network's output is [N, length, C] with a class for each token. Ids outside the embedding's rows are errors. Other
/// inputs of the network: dataset_tokens.hpp.
///
/// cifar10 and images give RGB [3, height, width] with x = (u8 / 255 - mean) / std in float32; mean and std are one
/// number or three, 0 and 1 when not given.
struct DataSpec {
  std::string kind;  ///< cifar10, npy, images, tokens
  std::int64_t first = 0;
  std::optional<std::int64_t> samples;                                ///< absent: all from `first`
  std::filesystem::path file;                                         ///< cifar10, tokens
  std::filesystem::path root;                                         ///< images
  std::vector<std::pair<std::string, std::filesystem::path>> inputs;  ///< npy: input name → file, file.npz:member
  std::optional<std::filesystem::path> labels;                        ///< npy
  std::vector<float> mean, stddev;                                    ///< x = (u8 / 255 - mean) / std, per channel
  std::optional<std::int64_t> resize, crop;                           ///< images: shorter side, then centre crop
  std::optional<std::int64_t> window;                                 ///< tokens: of a .bin file
  std::string place;                                                  ///< where it stands in the YAML, for messages

  /// Reads and checks one role; unknown keys and keys of another kind are errors.
  static DataSpec from(const Yaml& node);
};

/// Opens the data for the inputs of `network`: kinds, shapes and types must fit, samples must exist. InputError
/// otherwise.
std::unique_ptr<DataSet> open_dataset(const DataSpec& spec, const Network& network);

/// Hash of all its samples and labels, as the network gets them (16 hexadecimal digits). Reads everything once.
std::string fingerprint(const DataSet& data);

/// A kind of data: one file eval/data/data_<kind>.cpp and one row in eval/data/data_table.cpp.
struct DataKind {
  std::string_view name, summary;
  std::vector<std::string_view> keys;              ///< its keys besides kind, first, samples
  void (*read)(const Yaml& node, DataSpec& spec);  ///< reads and checks these keys
  std::unique_ptr<DataSet> (*open)(const DataSpec&, const Network&);
};
std::span<const DataKind> data_kinds();

}  // namespace bitplan
