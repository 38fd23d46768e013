#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/choice.hpp"
#include "quant/formats/levels.hpp"

namespace bitplan {

/// A row of a weight: the elements of a channel along its reduction, or the whole tensor (granularity tensor).
struct WeightRow {
  std::span<const float> values;
  std::span<const float> importance;  ///< of each element's squared error (E[x^2] of its input); empty: all alike
  float tensor_absmax = 0;            ///< over all rows
};

/// A weight as rows that are cut into parts; each part has its scale or code book, the last of a row may be shorter.
struct RowShape {
  std::int64_t rows = 0, length = 0;
  std::int64_t part = 0;  ///< elements of a part: min(length, group)
  std::int64_t parts_per_row() const { return part == 0 ? 0 : (length + part - 1) / part; }
  std::int64_t parts() const { return rows * parts_per_row(); }
};

/// A family of number formats other than integers. To quantize is to fit a grid to each run of a row, then to take the
/// nearest level of each value; so roundings that take the error of earlier values into account (GPTQ) fit first and
/// round element by element.
class WeightFormat {
 public:
  virtual ~WeightFormat() = default;
  /// Elements that share a Grid, in parts of `part` elements: mostly the part itself.
  virtual std::int64_t run(std::int64_t part) const { return part; }
  /// Appends a grid for each run of the row, parts of `part` elements. Values are finite.
  virtual void fit(const WeightRow& row, std::int64_t part, const Choice& choice, std::vector<Grid>& grids) const = 0;
  /// Bits stored besides the codes: scales, exponents, code books.
  virtual std::int64_t overhead_bits(const RowShape& shape, const Choice& choice) const = 0;
};

/// The member for the choice's format, which is neither float nor integer.
const WeightFormat& weight_format(const Choice& choice);

// The members, by file. --------------------------------------------------------------------------------------------

const WeightFormat& scaled_format();         ///< format_scaled.cpp
const WeightFormat& block_format();          ///< format_block.cpp
const WeightFormat& nvfp4_format();          ///< format_nvfp4.cpp
const WeightFormat& microexponent_format();  ///< format_microexponent.cpp
const WeightFormat& vector_format();         ///< format_vector.cpp
const WeightFormat& codebook_format();       ///< format_codebook.cpp
const WeightFormat& logarithmic_format();    ///< format_logarithmic.cpp
const WeightFormat& power_format();          ///< format_power.cpp
const WeightFormat& binary_format();         ///< format_signs.cpp
const WeightFormat& binary_stochastic_format();
const WeightFormat& ternary_format();
const WeightFormat& ternary_two_format();

/// Calls each(part's values, its importance) for the parts of a row in order.
template <class Each>
void for_each_part(const WeightRow& row, std::int64_t part, Each each) {
  for (std::size_t begin = 0; begin < row.values.size(); begin += static_cast<std::size_t>(part)) {
    const std::size_t n = std::min(static_cast<std::size_t>(part), row.values.size() - begin);
    each(row.values.subspan(begin, n), row.importance.empty() ? row.importance : row.importance.subspan(begin, n));
  }
}

}  // namespace bitplan
