#include "quant/ranges/histogram.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <numeric>

namespace bitplan {
namespace {

/// Bins are no narrower, so that 2^-e is a float: values below 2^-120 are as good as 0 for each quantizer.
constexpr int kLowestExponent = -120;
constexpr int kZeroSlots =
    8;  // neighbouring zeros of a ReLU have different counters, so that no store waits for another
constexpr std::size_t kBlock = 1024;  // values whose slots are computed before they are counted

/// trunc(|x| 2^-e) = j gives bin j, or ~j when x is negative. Scaling by a power of two is exact, or goes to a number
/// below 1 where x is far below a bin.
BITPLAN_KERNEL void find_slots(float inverse_width, int bins, const float* x, std::int32_t* slots, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const auto bits = std::bit_cast<std::int32_t>(x[i]);
    const std::int32_t slot = static_cast<std::int32_t>(x[i] * inverse_width) + (bits >> 31) + bins;
    const std::int32_t zero_slot = 2 * bins + static_cast<std::int32_t>(i % kZeroSlots);
    const std::int32_t is_zero = ((bits & 0x7fffffff) - 1) >> 31;  // -1 or 0: a mask, since a branch is not vectorised
    slots[i] = slot + ((zero_slot - slot) & is_zero);
  }
}

void find_slots_generic(float inverse_width, int bins, const float* x, std::int32_t* slots, std::size_t n) {
  find_slots(inverse_width, bins, x, slots, n);
}
BITPLAN_AVX2 void find_slots_avx2(float inverse_width, int bins, const float* x, std::int32_t* slots, std::size_t n) {
  find_slots(inverse_width, bins, x, slots, n);
}
BITPLAN_AVX512 void find_slots_avx512(float inverse_width, int bins, const float* x, std::int32_t* slots,
                                      std::size_t n) {
  find_slots(inverse_width, bins, x, slots, n);
}

int bin_at(float value, int exponent) {
  const int bin = static_cast<int>(std::ldexp(std::abs(static_cast<double>(value)), -exponent));
  return value < 0 ? ~bin : bin;
}

/// Whether those of range.low … range.high are at most `bins`. The magnitudes come first: they fit an int.
bool fits(Range range, int exponent, int bins) {
  const double most = std::max(-static_cast<double>(range.low), static_cast<double>(range.high));
  if (std::ldexp(most, -exponent) >= bins) return false;
  return bin_at(range.high, exponent) - bin_at(range.low, exponent) < bins;
}

}  // namespace

Histogram::Histogram(int bins)
    : bins_(bins), exponent_(kLowestExponent), counts_(static_cast<std::size_t>(2 * bins + kZeroSlots)) {
  assert(bins >= 64 && bins <= kBins && std::has_single_bit(static_cast<unsigned>(bins)));
}

void Histogram::add(std::span<const float> values) { add_on(best_isa(), values); }

void Histogram::add_on(Isa isa, std::span<const float> values) {
  widen(range_of_on(isa, values));
  constexpr decltype(&find_slots_generic) kernels[] = {find_slots_generic, find_slots_avx2, find_slots_avx512};
  const auto find = kernels[static_cast<std::size_t>(isa)];
  const auto inverse_width = static_cast<float>(std::ldexp(1.0, -exponent_));
  std::array<std::int32_t, kBlock> slots{};
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::size_t n = std::min(kBlock, values.size() - begin);
    find(inverse_width, bins_, values.data() + begin, slots.data(), n);
    for (std::size_t i = 0; i < n; ++i) ++counts_[static_cast<std::size_t>(slots[i])];
  }
}

void Histogram::merge(const Histogram& other) {
  assert(bins_ == other.bins_);
  widen(other.range_);
  const int shift = exponent_ - other.exponent_;
  for (int bin = other.first_bin(); bin <= other.last_bin(); ++bin)
    counts_[static_cast<std::size_t>((bin >> std::min(shift, 31)) + bins_)] += other.count(bin);
  for (std::size_t slot = counts_.size() - kZeroSlots; slot < counts_.size(); ++slot)
    counts_[slot] += other.counts_[slot];
}

void Histogram::widen(Range range) {
  range_ = {std::min(range_.low, range.low), std::max(range_.high, range.high)};
  if (fits(range_, exponent_, bins_)) return;
  int exponent = exponent_;
  while (!fits(range_, exponent, bins_)) ++exponent;
  const int shift = std::min(exponent - exponent_, 31);
  std::vector<std::int64_t> counts(counts_.size());
  std::copy(counts_.begin() + zero_slots(), counts_.end(), counts.begin() + zero_slots());
  // Shifting right rounds down: bin ~j goes to ~(j >> shift), as bin j goes to j >> shift.
  for (int bin = -bins_; bin < bins_; ++bin) counts[static_cast<std::size_t>((bin >> shift) + bins_)] += count(bin);
  counts_ = std::move(counts);
  exponent_ = exponent;
}

double Histogram::bin_width() const { return std::ldexp(1.0, exponent_); }

std::int64_t Histogram::values() const { return std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0}); }

std::int64_t Histogram::zeros() const {
  return std::accumulate(counts_.begin() + zero_slots(), counts_.end(), std::int64_t{0});
}

int Histogram::first_bin() const { return bin_of(range_.low); }
int Histogram::last_bin() const { return bin_of(range_.high); }
int Histogram::bin_of(float value) const { return bin_at(value, exponent_); }

Range Histogram::edges(int bin) const {
  const double low = std::max(bin * bin_width(), static_cast<double>(range_.low));
  const double high = std::min((bin + 1) * bin_width(), static_cast<double>(range_.high));
  return {static_cast<float>(low), static_cast<float>(high)};
}

bool Histogram::operator==(const Histogram& other) const {
  return bins_ == other.bins_ && range_ == other.range_ && exponent_ == other.exponent_ && zeros() == other.zeros() &&
         std::equal(counts_.begin(), counts_.begin() + zero_slots(), other.counts_.begin());
}

}  // namespace bitplan
