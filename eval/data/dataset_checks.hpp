#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "eval/data/dataset.hpp"

namespace bitplan {

/// What the kinds of data have in common: the window first/samples, labels, the network's side, pixels to floats.
/// All throw InputError without the place in the YAML; open_dataset puts it in front.

/// Samples first … first + count - 1 of a source; never empty.
struct SampleWindow {
  std::int64_t first = 0, count = 0;
};
/// The window that `spec` takes of `total` samples in `source`. Throws InputError saying how many there are.
SampleWindow sample_window(const DataSpec& spec, std::int64_t total, const std::string& source);

/// C when the network's first output is [N, C] (or [N, C, 1, 1 …]), else nothing: softmax, top-1 and labels then have
/// no meaning for us.
std::optional<std::int64_t> class_count(const Network& network);

/// The network's first output is float [N, T, C]: C classes at each of T positions (logits of a language model).
struct SequenceForm {
  std::int64_t positions = 0, classes = 0;
};
/// Nothing for outputs of another rank, and where class_count() says classes.
std::optional<SequenceForm> sequence_form(const Network& network);

/// Either of them, a classifier as one position; nothing: the output is no classes.
std::optional<SequenceForm> output_form(const Network& network);

/// Throws InputError when a label is negative or no class of the network. `sample` counts from 0 in `source`.
void check_label(const Network& network, const std::string& source, std::int64_t sample, std::int64_t label);

/// "Nx3x32x32": the shape of an input or a file with the leading dimension left open.
std::string open_shape(const Shape& shape);

/// The network's only input as float32 [N, 3, height, width]; throws InputError naming both shapes when it is
/// otherwise. `kind` names the data. Sizes < 0 fit anything.
void require_image_input(const std::string& kind, const Network& network, std::int64_t height, std::int64_t width);

/// x = (u8 / 255 - mean) / std in float32, by table.
class PixelTable {
 public:
  explicit PixelTable(const DataSpec& spec);
  float operator()(std::size_t channel, std::uint8_t value) const { return table_[channel][value]; }

 private:
  std::array<std::array<float, 256>, 3> table_;
};

/// Reads `mean` and `std`: one number or a list of three; std above 0.
void read_normalization(const Yaml& node, DataSpec& spec);

}  // namespace bitplan
