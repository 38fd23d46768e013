// Products of packed signs beside oneDNN's float matrix product of the same sizes, on one thread (OMP_NUM_THREADS=1).
// Prints the time of each and how many times faster the packed one is; packing the activations is counted.

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "core/rng.hpp"
#include "quant/formats/xnor.hpp"

using namespace bitplan;

namespace {

std::vector<float> normal(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed, "bench");
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = static_cast<float>(rng.normal());
  return values;
}

/// The shortest of several runs, in milliseconds.
double best_of(int runs, const std::function<void()>& body) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

void compare(std::int64_t rows, std::int64_t length, std::int64_t columns) {
  const auto a = normal(rows * length, 1), b = normal(columns * length, 2);
  std::vector<float> product(static_cast<std::size_t>(rows * columns));
  std::vector<std::int32_t> signs(product.size());
  const SignRows weights = pack_signs(b, columns, length);
  const double floats = best_of(5, [&] {
    dnnl_sgemm('N', 'T', rows, columns, length, 1, a.data(), length, b.data(), length, 0, product.data(), columns);
  });
  std::printf("%5ld x %5ld x %5ld   oneDNN float %8.3f ms", rows, length, columns, floats);
  const SignRows packed = pack_signs(a, rows, length);
  constexpr const char* kNames[] = {"plain", "popcnt", "vector"};
  for (const BitCount how : usable_bit_counts()) {
    const double bits = best_of(5, [&] { xnor_products_on(how, packed, weights, signs); });
    std::printf("   %s %8.3f ms (%.1f x)", kNames[static_cast<int>(how)], bits, floats / bits);
  }
  const double packing = best_of(5, [&] { pack_signs(a, rows, length); });
  std::printf("   packing %.3f ms\n", packing);
}

}  // namespace

int main() {
  compare(256, 1024, 1024);
  compare(256, 4096, 4096);
  compare(1, 4096, 4096);
}
