#include "eval/losses/losses_rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace bitplan {
namespace {

// Sums run in eight lanes: lane k adds the elements k, k + 8, ... An instruction set takes them `W` at a time.
constexpr std::size_t kLanes = 8;

template <int W>
struct Simd {
  typedef double Doubles __attribute__((vector_size(8 * W)));
  typedef std::int64_t Integers __attribute__((vector_size(8 * W)));
  typedef float Floats __attribute__((vector_size(4 * W)));
  typedef float Wide __attribute__((vector_size(8 * W)));
};

template <class Vector>
BITPLAN_KERNEL Vector load(const void* from) {
  Vector v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

/// One sum in eight lanes.
template <int W>
struct LaneSum {
  typename Simd<W>::Doubles part[kLanes / W] = {};

  /// The lanes added in the order of a tree.
  BITPLAN_KERNEL double total() const {
    double v[kLanes];
    std::memcpy(v, part, sizeof v);
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
  }
};

/// 2^(k/16)
alignas(64) constexpr double kRoots[16] = {
    0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
    0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0,
    0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
    0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};

/// kRoots[index & 15] of every lane.
template <class Doubles, class Integers>
BITPLAN_KERNEL Doubles root(const Integers& index) {
  if constexpr (sizeof(Doubles) == 64) {
    return __builtin_shuffle(load<Doubles>(kRoots), load<Doubles>(kRoots + 8), index);
  } else {
    Doubles v;
    for (std::size_t i = 0; i < sizeof(Doubles) / 8; ++i) v[i] = kRoots[index[i] & 15];
    return v;
  }
}

/// exp(x) for x <= 0: x = (16 n + k) (log 2) / 16 + r, |r| <= (log 2) / 32; exp(r) by its series to degree 6 (rest
/// below 1e-15) times 2^(k/16), times 2^n through the exponent bits. 0 below -708, where 2^n would leave the normal
/// numbers.
template <class Doubles, class Integers>
BITPLAN_KERNEL Doubles exponential(const Doubles& x) {
  constexpr double shift = 0x1.8p52;  // adding it rounds to whole numbers and leaves them in the lowest bits
  const Doubles least = Doubles{} - 708.0, clamped = x < least ? least : x;
  const Doubles t = clamped * (16 * 0x1.71547652b82fep0) + shift, m = t - shift;
  const Doubles r = (clamped - m * (0x1.62e42fefa0000p-1 / 16)) - m * (0x1.cf79abc9e3b39p-40 / 16);
  const Doubles r2 = r * r;
  const Doubles series =
      (1.0 + r) + r2 * ((1.0 / 2 + r * (1.0 / 6)) + r2 * ((1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720)));
  const Integers bits = (Integers)t;
  // Unsigned, as the sum wraps where x is far below -708 or no number; such lanes are masked or NaN already.
  typedef std::uint64_t Bits __attribute__((vector_size(sizeof(Integers))));
  const Doubles scaled = (Doubles)((Bits)(series * root<Doubles>(bits)) + ((Bits)(bits >> 4) << 52));
  return (Doubles)((Integers)scaled & (x >= least));
}

/// a log(a / m) + b log(b / m), m = (a + b) / 2, in float, right to 1e-6 of itself, from sum = a + b and
/// t = (a - b) / (a + b), |t| < 1/2:
///   m ((1 + t) log(1 + t) + (1 - t) log(1 - t)) = m sum_k t^(2k) / (k (2k - 1)); 8 terms leave 1e-7
template <class Floats>
BITPLAN_KERNEL Floats near_middle(const Floats& sum, const Floats& t) {
  const Floats y = t * t, y2 = y * y;
  const Floats first = (1.0F + y * (1.0F / 6)) + y2 * (1.0F / 15 + y * (1.0F / 28));
  const Floats last = (1.0F / 45 + y * (1.0F / 66)) + y2 * (1.0F / 91 + y * (1.0F / 120));
  return 0.5F * sum * y * (first + y2 * y2 * last);
}

/// The same for 1/2 <= |t|, where b is the smaller one and d = |log(a / b)|:
///   -g (a + b) - b d, g = log((a + b) / (2 a)) = 2 atanh(s), s = -|t| / (2 + |t|) in [-1/3, 0]; s^15 leaves 2e-9
template <class Floats>
BITPLAN_KERNEL Floats far_from_middle(const Floats& sum, const Floats& t, const Floats& d) {
  const Floats size = t < 0.0F ? -t : t, b = 0.5F * sum * (1.0F - size);
  const Floats s = size / (2.0F + size), x = s * s, x2 = x * x;
  const Floats low = (1.0F + x * (1.0F / 3)) + x2 * (1.0F / 5 + x * (1.0F / 7));
  const Floats high = (1.0F / 9 + x * (1.0F / 11)) + x2 * (1.0F / 13 + x * (1.0F / 15));
  return 2.0F * s * (low + x2 * x2 * high) * sum - b * d;
}

template <class Mask>
BITPLAN_KERNEL bool any(const Mask& mask) {
  std::int64_t words[sizeof(Mask) / 8], all = 0;
  std::memcpy(words, &mask, sizeof mask);
  for (const auto word : words) all |= word;
  return all != 0;
}

/// Calls body(i, h, z, y, mask) for W elements at a time, those of lanes h W ... h W + W - 1 from element i on: mask
/// has all bits set where there is an element; what lies behind the last one is 0.
template <int W, class Body>
BITPLAN_KERNEL void for_blocks(const float* z, const float* y, std::size_t n, const Body& body) {
  using S = Simd<W>;
  const auto every = typename S::Integers{} - 1;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::size_t h = 0; h < kLanes / W; ++h)
      body(i + h * W, h, load<typename S::Floats>(z + i + h * W), load<typename S::Floats>(y + i + h * W), every);
  if (i == n) return;
  float last_z[kLanes] = {}, last_y[kLanes] = {};
  std::int64_t masks[kLanes] = {};
  std::copy(z + i, z + n, last_z);
  std::copy(y + i, y + n, last_y);
  std::fill(masks, masks + (n - i), -1);
  for (std::size_t h = 0; h < kLanes / W; ++h)
    body(i + h * W, h, load<typename S::Floats>(last_z + h * W), load<typename S::Floats>(last_y + h * W),
         load<typename S::Integers>(masks + h * W));
}

/// All exponent bits set means NaN or infinite.
BITPLAN_KERNEL bool all_finite(const float* values, std::size_t n) {
  constexpr std::uint32_t exponent = 0x7f800000;
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < n; ++i) bad |= (std::bit_cast<std::uint32_t>(values[i]) & exponent) == exponent ? 1 : 0;
  return bad == 0;
}

/// Exact, so the order does not matter.
template <int W>
BITPLAN_KERNEL float largest(const float* values, std::size_t n) {
  using Wide = typename Simd<W>::Wide;
  constexpr std::size_t lanes = 2 * W;
  Wide top = Wide{} + values[0];
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const Wide v = load<Wide>(values + i);
    top = v > top ? v : top;
  }
  float tops[lanes];
  std::memcpy(tops, &top, sizeof top);
  float best = *std::max_element(tops, tops + lanes);
  for (; i < n; ++i) best = std::max(best, values[i]);
  return best;
}

/// Index of the first element that equals `value`, which is there. Blocks, so that it vectorises.
BITPLAN_KERNEL std::size_t first_of(const float* values, std::size_t n, float value) {
  constexpr std::size_t block = 64;
  std::size_t i = 0;
  for (; i + block <= n; i += block) {
    int hits = 0;
    for (std::size_t k = 0; k < block; ++k) hits |= values[i + k] == value ? 1 : 0;
    if (hits != 0) break;
  }
  while (values[i] != value) ++i;
  return i;
}

/// Number of elements that rank before `index`: larger, or equal with a smaller index.
BITPLAN_KERNEL std::int64_t rank_of(const float* values, std::size_t n, std::size_t index) {
  const float own = values[index];
  std::uint32_t before = 0;
  for (std::size_t c = 0; c < index; ++c) before += values[c] >= own ? 1 : 0;
  for (std::size_t c = index + 1; c < n; ++c) before += values[c] > own ? 1 : 0;
  return before;
}

template <int W>
BITPLAN_KERNEL void add_distances(const float* z, const float* y, std::size_t n, RowFigures& row) {
  using S = Simd<W>;
  LaneSum<W> zz, yy, zy, noise;
  for_blocks<W>(z, y, n, [&](std::size_t, std::size_t h, const auto& zf, const auto& yf, const auto&) {
    const auto a = __builtin_convertvector(zf, typename S::Doubles);
    const auto b = __builtin_convertvector(yf, typename S::Doubles);
    const auto d = b - a;
    zz.part[h] += a * a;
    yy.part[h] += b * b;
    zy.part[h] += a * b;
    noise.part[h] += d * d;
  });
  row.zz = zz.total(), row.yy = yy.total(), row.zy = zy.total(), row.noise = noise.total();
}

template <int W>
BITPLAN_KERNEL RowFigures value_figures(const float* z, const float* y, std::size_t n) {
  RowFigures row;
  row.finite = all_finite(z, n) && all_finite(y, n);
  if (row.finite) add_distances<W>(z, y, n, row);
  return row;
}

/// kl and the logarithms of the sums; leaves exp(z - max z) in e and exp(y - max y) in f.
template <int W>
BITPLAN_KERNEL void add_kl(const float* z, const float* y, std::size_t n, double* e, double* f, RowFigures& row,
                           double& sum_e, double& sum_f) {
  using S = Simd<W>;
  const double max_z = row.max_z, max_y = row.max_y;
  LaneSum<W> es, fs, weighted;
  for_blocks<W>(z, y, n, [&](std::size_t i, std::size_t h, const auto& zf, const auto& yf, const auto& mask) {
    using Doubles = typename S::Doubles;
    using Integers = typename S::Integers;
    const auto a = __builtin_convertvector(zf, Doubles), b = __builtin_convertvector(yf, Doubles);
    const Doubles ea = (Doubles)((Integers)exponential<Doubles, Integers>(a - max_z) & mask);
    const Doubles fb = (Doubles)((Integers)exponential<Doubles, Integers>(b - max_y) & mask);
    es.part[h] += ea;
    fs.part[h] += fb;
    weighted.part[h] += ea * (a - b);
    std::memcpy(e + i, &ea, sizeof ea);
    std::memcpy(f + i, &fb, sizeof fb);
  });
  sum_e = es.total(), sum_f = fs.total();
  row.log_sum_z = max_z + std::log(sum_e);
  row.log_sum_y = max_y + std::log(sum_f);
  row.kl = weighted.total() / sum_e + (row.log_sum_y - row.log_sum_z);
}

template <int W>
BITPLAN_KERNEL double divergence(const float* z, const float* y, std::size_t n, const double* e, const double* f,
                                 double inverse_e, double inverse_f, double shift) {
  using S = Simd<W>;
  LaneSum<W> sum;
  for_blocks<W>(z, y, n, [&](std::size_t i, std::size_t h, const auto& zf, const auto& yf, const auto& mask) {
    using Doubles = typename S::Doubles;
    using Integers = typename S::Integers;
    using Floats = typename S::Floats;
    const Doubles p = load<Doubles>(e + i) * inverse_e, q = load<Doubles>(f + i) * inverse_f;
    const Floats total = __builtin_convertvector(p + q, Floats);
    const Floats t = __builtin_convertvector(p - q, Floats) / (total + 1e-38F);
    Floats part = near_middle(total, t);
    const auto far = (t > 0.5F) | (t < -0.5F);
    if (any(far)) {
      const Doubles log_ratio =  // log(p / q)
          (__builtin_convertvector(zf, Doubles) - __builtin_convertvector(yf, Doubles)) + shift;
      const Doubles size = log_ratio < 0.0 ? -log_ratio : log_ratio, most = Doubles{} + 100.0;
      const Floats d = __builtin_convertvector(size < most ? size : most, Floats);  // beyond, the smaller one is 0
      part = far ? far_from_middle(total, t, d) : part;
    }
    sum.part[h] += (Doubles)((Integers) __builtin_convertvector(part, Doubles) & mask);
  });
  return sum.total() / 2;
}

/// `scratch`: room for 2 n numbers, rounded up to whole blocks each.
template <int W>
BITPLAN_KERNEL RowFigures class_figures(const float* z, const float* y, std::size_t n, std::int64_t label,
                                        double* scratch) {
  RowFigures row = value_figures<W>(z, y, n);
  if (!row.finite) return row;
  row.max_z = largest<W>(z, n), row.max_y = largest<W>(y, n);
  row.agrees = first_of(z, n, row.max_z) == first_of(y, n, row.max_y);
  if (label >= 0) row.rank = rank_of(y, n, static_cast<std::size_t>(label));
  double *const e = scratch, *const f = scratch + (n + kLanes - 1) / kLanes * kLanes;
  double sum_e = 0, sum_f = 0;
  add_kl<W>(z, y, n, e, f, row, sum_e, sum_f);
  row.jsd = divergence<W>(z, y, n, e, f, 1 / sum_e, 1 / sum_f, row.log_sum_y - row.log_sum_z);
  return row;
}

RowFigures classes_generic(const float* z, const float* y, std::size_t n, std::int64_t label, double* scratch) {
  return class_figures<2>(z, y, n, label, scratch);
}
BITPLAN_AVX2 RowFigures classes_avx2(const float* z, const float* y, std::size_t n, std::int64_t label,
                                     double* scratch) {
  return class_figures<4>(z, y, n, label, scratch);
}
BITPLAN_AVX512 RowFigures classes_avx512(const float* z, const float* y, std::size_t n, std::int64_t label,
                                         double* scratch) {
  return class_figures<8>(z, y, n, label, scratch);
}

RowFigures values_generic(const float* z, const float* y, std::size_t n) { return value_figures<2>(z, y, n); }
BITPLAN_AVX2 RowFigures values_avx2(const float* z, const float* y, std::size_t n) { return value_figures<4>(z, y, n); }
BITPLAN_AVX512 RowFigures values_avx512(const float* z, const float* y, std::size_t n) {
  return value_figures<8>(z, y, n);
}

}  // namespace

RowFigures compare_classes(const float* z, const float* y, std::size_t n, std::int64_t label, RowScratch& scratch,
                           Isa isa) {
  scratch.resize(std::max(scratch.size(), 2 * ((n + kLanes - 1) / kLanes * kLanes)));
  switch (isa) {
    case Isa::avx512:
      return classes_avx512(z, y, n, label, scratch.data());
    case Isa::avx2:
      return classes_avx2(z, y, n, label, scratch.data());
    default:
      return classes_generic(z, y, n, label, scratch.data());
  }
}

RowFigures compare_values(const float* z, const float* y, std::size_t n, Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return values_avx512(z, y, n);
    case Isa::avx2:
      return values_avx2(z, y, n);
    default:
      return values_generic(z, y, n);
  }
}

}  // namespace bitplan
