#include "quant/moments/gram.hpp"

#include <algorithm>
#include <cassert>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "quant/math/finite.hpp"
#include "quant/math/matmul.hpp"

namespace bitplan {
void transposed_product(std::int64_t rows, std::int64_t stride, const float* left, std::int64_t m, const float* right,
                        std::int64_t n, double* sums) {
  constexpr std::int64_t kPiece = 256;  // rows that the product sums up at once: more of them would only cost memory
  std::vector<double> a(static_cast<std::size_t>(kPiece * m)), b(static_cast<std::size_t>(kPiece * n));
  const auto widen = [&](const float* from, std::int64_t first, std::int64_t count, std::int64_t width, double* to) {
    for (std::int64_t r = first; r < first + count; ++r, to += width) std::copy_n(from + r * stride, width, to);
  };
  for (std::int64_t first = 0; first < rows; first += kPiece) {
    const std::int64_t count = std::min(kPiece, rows - first);
    widen(left, first, count, m, a.data());
    widen(right, first, count, n, b.data());
    add_product(1.0, {a.data(), 1, m}, m, PackedMatrix<double>({b.data(), n, 1}, count, n), sums, n);
  }
}

GramAccumulator::GramAccumulator(std::int64_t columns, bool with_cross, int threads, TransposedProduct product)
    : columns_(columns),
      threads_(threads),
      product_(product),
      gram_tiles_(cut(true)),
      sum_(static_cast<std::size_t>(columns)) {
  const auto sums = [](const std::vector<Tile>& tiles) {
    return tiles.empty() ? 0 : tiles.back().offset + static_cast<std::size_t>(tiles.back().rows * tiles.back().columns);
  };
  gram_.resize(sums(gram_tiles_));
  if (with_cross) cross_tiles_ = cut(false);
  cross_.resize(sums(cross_tiles_));
}

/// Tiles of equal width, a multiple of 16, but for the last.
std::vector<GramAccumulator::Tile> GramAccumulator::cut(bool upper) const {
  std::vector<Tile> tiles;
  const std::int64_t count = (columns_ + kTile - 1) / kTile;
  const std::int64_t width = count == 0 ? 1 : ((columns_ + count - 1) / count + 15) / 16 * 16;
  std::size_t offset = 0;
  for (std::int64_t row = 0; row < columns_; row += width)
    for (std::int64_t column = upper ? row : 0; column < columns_; column += width) {
      tiles.push_back({row, column, std::min(width, columns_ - row), std::min(width, columns_ - column), offset});
      offset += static_cast<std::size_t>(tiles.back().rows * tiles.back().columns);
    }
  return tiles;
}

void GramAccumulator::check(std::span<const float> rows) const {
  assert(columns_ > 0 && static_cast<std::int64_t>(rows.size()) % columns_ == 0);
  if (all_finite(rows)) return;
  const auto i = std::find_if_not(rows.begin(), rows.end(), is_finite) - rows.begin();
  throw InputError("calibration input of sample " + std::to_string(i / columns_) + ", channel " +
                   std::to_string(i % columns_) + " is " + std::to_string(rows[static_cast<std::size_t>(i)]) +
                   "; inputs must be finite");
}

/// The sums of the columns of a tile on the diagonal.
void GramAccumulator::add_sums(const float* rows, std::int64_t count, const Tile& tile) {
  double* sums = sum_.data() + tile.column;
  for (std::int64_t r = 0; r < count; ++r)
    for (std::int64_t c = 0; c < tile.columns; ++c)
      sums[c] += static_cast<double>(rows[r * columns_ + tile.column + c]);
}

void GramAccumulator::add_tile(const float* left, const float* right, std::int64_t rows, const Tile& tile,
                               double* sums) const {
  for (std::int64_t first = 0; first < rows; first += kRun)
    product_(std::min(kRun, rows - first), columns_, left + first * columns_ + tile.row, tile.rows,
             right + first * columns_ + tile.column, tile.columns, sums);
}

/// One task a tile: gram's of `left`, then cross's of left and right where there is a right.
void GramAccumulator::add_all(const float* left, const float* right, std::int64_t rows) {
  const std::size_t tasks = gram_tiles_.size() + (right ? cross_tiles_.size() : 0);
  parallel_for(tasks, threads_, [&](std::size_t task, int) {
    if (task >= gram_tiles_.size()) {
      const Tile& tile = cross_tiles_[task - gram_tiles_.size()];
      return add_tile(left, right, rows, tile, cross_.data() + tile.offset);
    }
    const Tile& tile = gram_tiles_[task];
    add_tile(left, left, rows, tile, gram_.data() + tile.offset);
    if (tile.row == tile.column) add_sums(left, rows, tile);
  });
  count_ += rows;
}

void GramAccumulator::add(std::span<const float> rows) {
  check(rows);
  add_all(rows.data(), nullptr, static_cast<std::int64_t>(rows.size()) / columns_);
}

void GramAccumulator::add(std::span<const float> quantized, std::span<const float> reference) {
  assert(quantized.size() == reference.size() && !cross_tiles_.empty());
  check(quantized);
  check(reference);
  add_all(quantized.data(), reference.data(), static_cast<std::int64_t>(quantized.size()) / columns_);
}

void GramAccumulator::merge(const GramAccumulator& other) {
  assert(columns_ == other.columns_ && cross_.size() == other.cross_.size());
  const auto add_to = [](std::vector<double>& to, const std::vector<double>& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  add_to(gram_, other.gram_);
  add_to(cross_, other.cross_);
  add_to(sum_, other.sum_);
  count_ += other.count_;
}

void GramAccumulator::require_samples() const {
  if (count_ == 0) throw InputError("no calibration samples: second moments need at least one");
}

std::vector<float> GramAccumulator::gram() const {
  require_samples();
  std::vector<float> out(static_cast<std::size_t>(columns_ * columns_));
  const double samples = static_cast<double>(count_);
  for (const Tile& tile : gram_tiles_)
    for (std::int64_t r = 0; r < tile.rows; ++r)
      for (std::int64_t c = tile.row == tile.column ? r : 0; c < tile.columns; ++c) {
        const double sum = gram_[tile.offset + static_cast<std::size_t>(r * tile.columns + c)];
        const std::int64_t i = tile.row + r, j = tile.column + c;
        out[static_cast<std::size_t>(i * columns_ + j)] = out[static_cast<std::size_t>(j * columns_ + i)] =
            static_cast<float>(sum / samples);
      }
  return out;
}

std::vector<float> GramAccumulator::cross() const {
  require_samples();
  std::vector<float> out(cross_.size());
  const double samples = static_cast<double>(count_);
  for (const Tile& tile : cross_tiles_)
    for (std::int64_t i = 0; i < tile.rows * tile.columns; ++i) {
      const std::int64_t r = tile.row + i / tile.columns, c = tile.column + i % tile.columns;
      out[static_cast<std::size_t>(r * columns_ + c)] =
          static_cast<float>(cross_[tile.offset + static_cast<std::size_t>(i)] / samples);
    }
  return out;
}

std::vector<float> GramAccumulator::mean() const {
  require_samples();
  std::vector<float> out(sum_.size());
  std::transform(sum_.begin(), sum_.end(), out.begin(),
                 [&](double sum) { return static_cast<float>(sum / static_cast<double>(count_)); });
  return out;
}

}  // namespace bitplan
