#pragma once

#include <cstdint>
#include <string_view>

namespace bitplan {

/// A random stream with a name: (seed, purpose, index). Equal names give equal
/// streams on every rank, thread count, compiler and standard library.
/// Generator: splitmix64, Steele, Lea & Flood, OOPSLA 2014.
class Rng {
 public:
  Rng(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0)
      : state_(mix(mix(seed ^ hash(purpose)) + index)) {}

  std::uint64_t bits() { return mix(state_ += 0x9e3779b97f4a7c15u); }

  /// Uniform in [0, 1).
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

  /// Uniform in [0, n), n > 0, without modulo bias.
  std::uint64_t below(std::uint64_t n) {
    const std::uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    for (;;)
      if (const std::uint64_t b = bits(); b < limit) return b % n;
  }

  /// Standard normal (Box & Muller 1958; the second value of a pair is dropped, so that
  /// the stream has no hidden state).
  double normal();

 private:
  static constexpr std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  static constexpr std::uint64_t hash(std::string_view s) {  // FNV-1a
    std::uint64_t h = 0xcbf29ce484222325u;
    for (const char c : s) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return h;
  }

  std::uint64_t state_;
};

}  // namespace bitplan
