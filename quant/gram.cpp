#include "quant/gram.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "core/parallel.hpp"
#include "quant/matmul.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kChunk = 64, kRun = 256;

void check_finite(std::span<const float> rows, std::int64_t columns) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (!std::isfinite(rows[i]))
      throw InputError("calibration input of sample " + std::to_string(i / static_cast<std::size_t>(columns)) +
                       ", channel " + std::to_string(i % static_cast<std::size_t>(columns)) + " is " +
                       std::to_string(rows[i]) + "; inputs must be finite");
}

/// sums += left^T right, of `run` rows; `symmetric` leaves the part below the diagonal to mirror().
void add_run(const float* left, const float* right, std::int64_t run, std::int64_t k, bool symmetric, int threads,
             std::vector<double>& sums) {
  const PackedMatrix<float> packed({right, k, 1}, run, k);
  parallel_for(static_cast<std::size_t>((k + kChunk - 1) / kChunk), threads, [&](std::size_t chunk, int) {
    const std::int64_t first = static_cast<std::int64_t>(chunk) * kChunk, rows = std::min(kChunk, k - first);
    std::vector<float> product(static_cast<std::size_t>(rows * k));
    add_product(1.0F, {left + first, 1, k}, rows, packed, product.data(), k, {.first = symmetric ? first : 0});
    double* to = sums.data() + first * k;
    for (std::size_t i = 0; i < product.size(); ++i) to[i] += static_cast<double>(product[i]);
  });
}

void mirror(std::vector<double>& sums, std::int64_t k) {
  for (std::int64_t r = 0; r < k; ++r)
    for (std::int64_t c = 0; c < r; ++c)
      sums[static_cast<std::size_t>(r * k + c)] = sums[static_cast<std::size_t>(c * k + r)];
}

}  // namespace

GramAccumulator::GramAccumulator(std::int64_t columns, bool with_cross, int threads)
    : columns_(columns),
      threads_(threads),
      gram_(static_cast<std::size_t>(columns * columns)),
      cross_(with_cross ? gram_.size() : 0),
      sum_(static_cast<std::size_t>(columns)) {}

void GramAccumulator::add(std::span<const float> rows) {
  assert(columns_ > 0 && static_cast<std::int64_t>(rows.size()) % columns_ == 0);
  check_finite(rows, columns_);
  const std::int64_t m = static_cast<std::int64_t>(rows.size()) / columns_;
  for (std::int64_t first = 0; first < m; first += kRun) {
    const float* from = rows.data() + first * columns_;
    add_run(from, from, std::min(kRun, m - first), columns_, true, threads_, gram_);
  }
  mirror(gram_, columns_);
  for (std::int64_t r = 0; r < m; ++r)
    for (std::int64_t c = 0; c < columns_; ++c)
      sum_[static_cast<std::size_t>(c)] += static_cast<double>(rows[static_cast<std::size_t>(r * columns_ + c)]);
  count_ += m;
}

void GramAccumulator::add(std::span<const float> quantized, std::span<const float> reference) {
  assert(quantized.size() == reference.size() && !cross_.empty());
  check_finite(reference, columns_);
  add(quantized);
  const std::int64_t m = static_cast<std::int64_t>(quantized.size()) / columns_;
  for (std::int64_t first = 0; first < m; first += kRun)
    add_run(quantized.data() + first * columns_, reference.data() + first * columns_, std::min(kRun, m - first),
            columns_, false, threads_, cross_);
}

void GramAccumulator::merge(const GramAccumulator& other) {
  assert(columns_ == other.columns_ && cross_.size() == other.cross_.size());
  const auto add_all = [](std::vector<double>& to, const std::vector<double>& from) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
  };
  add_all(gram_, other.gram_);
  add_all(cross_, other.cross_);
  add_all(sum_, other.sum_);
  count_ += other.count_;
}

std::vector<float> GramAccumulator::scaled(const std::vector<double>& sums) const {
  if (count_ == 0) throw InputError("no calibration samples: second moments need at least one");
  std::vector<float> out(sums.size());
  std::transform(sums.begin(), sums.end(), out.begin(),
                 [&](double sum) { return static_cast<float>(sum / static_cast<double>(count_)); });
  return out;
}

}  // namespace bitplan
