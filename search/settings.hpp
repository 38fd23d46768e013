#pragma once

#include <cstdint>
#include <string_view>

#include "core/yaml.hpp"

namespace bitplan {

/// A number of things in a stage's YAML, 1 … 10^7, or `fallback` when the key is absent.
inline std::int64_t read_count(const Yaml& stage, std::string_view key, std::int64_t fallback) {
  const auto value = stage.find(key);
  return value ? value->integer_in(1, 10'000'000) : fallback;
}

/// A number in a stage's YAML, low … high, or `fallback` when the key is absent.
inline double read_number(const Yaml& stage, std::string_view key, double fallback, double low, double high) {
  const auto value = stage.find(key);
  return value ? value->number_in(low, high) : fallback;
}

}  // namespace bitplan
