#include "core/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace bitplan {
namespace {

struct Unit {
  std::string_view name;
  Quantity::Kind kind;
  double factor;
};

constexpr std::array kUnits{
    Unit{"%", Quantity::Kind::percent, 1},       Unit{"B", Quantity::Kind::bytes, 1},
    Unit{"kB", Quantity::Kind::bytes, 1e3},      Unit{"MB", Quantity::Kind::bytes, 1e6},
    Unit{"GB", Quantity::Kind::bytes, 1e9},      Unit{"KiB", Quantity::Kind::bytes, 1024},
    Unit{"MiB", Quantity::Kind::bytes, 1048576}, Unit{"GiB", Quantity::Kind::bytes, 1073741824},
    Unit{"ns", Quantity::Kind::time, 1e-9},      Unit{"us", Quantity::Kind::time, 1e-6},
    Unit{"ms", Quantity::Kind::time, 1e-3},      Unit{"s", Quantity::Kind::time, 1},
    Unit{"m", Quantity::Kind::time, 60},         Unit{"min", Quantity::Kind::time, 60},
    Unit{"h", Quantity::Kind::time, 3600},       Unit{"d", Quantity::Kind::time, 86400},
    Unit{"fJ", Quantity::Kind::energy, 1e-15},   Unit{"pJ", Quantity::Kind::energy, 1e-12},
    Unit{"nJ", Quantity::Kind::energy, 1e-9},    Unit{"uJ", Quantity::Kind::energy, 1e-6},
    Unit{"mJ", Quantity::Kind::energy, 1e-3},    Unit{"J", Quantity::Kind::energy, 1},
};

const Unit* find_unit(std::string_view name) {
  for (const auto& unit : kUnits)
    if (unit.name == name) return &unit;
  return nullptr;
}

/// A number at the front of `text`, which is cut off; nothing when there is none or it is not finite.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::string_view take_unit(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  std::size_t n = 0;
  while (n < text.size() && (std::isalpha(static_cast<unsigned char>(text[n])) || text[n] == '%')) ++n;
  const auto unit = text.substr(0, n);
  text.remove_prefix(n);
  return unit;
}

std::string print(const char* format, double value, const char* unit) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, value);
  return std::string(buffer) + (*unit ? " " : "") + unit;
}

/// Three significant digits with the largest unit of `names` (steps of 1000) that leaves at least 1.
template <std::size_t N>
std::string scaled(double value, const std::array<const char*, N>& names) {
  std::size_t i = 0;
  while (std::abs(value) >= 999.5 && i + 1 < N) value /= 1000, ++i;
  const double size = std::abs(value);
  return print(size >= 99.95 || size == std::floor(size) ? "%.0f" : size >= 9.995 ? "%.1f" : "%.2f", value, names[i]);
}

}  // namespace

std::optional<Quantity> parse_quantity(std::string_view text) {
  Quantity sum;
  bool first = true;
  do {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    const auto name = take_unit(text);
    if (name.empty()) return first && text.empty() ? std::optional(Quantity{Quantity::Kind::plain, *number}) : std::nullopt;
    const auto* unit = find_unit(name);
    if (unit == nullptr) return std::nullopt;
    // Only times are joined: 3h30m.
    if (!first && (unit->kind != Quantity::Kind::time || sum.kind != Quantity::Kind::time)) return std::nullopt;
    sum.kind = unit->kind;
    sum.value += *number * unit->factor;
    first = false;
  } while (!text.empty());
  return sum;
}

std::string format_bytes(double bytes) { return scaled(bytes, std::array{"B", "kB", "MB", "GB", "TB"}); }

std::string format_count(double count) { return scaled(count, std::array{"", "k", "M", "G", "T", "P"}); }

std::string format_joules(double joules) {
  return scaled(joules * 1e15, std::array{"fJ", "pJ", "nJ", "uJ", "mJ", "J", "kJ"});
}

std::string format_seconds(double seconds) {
  if (seconds < 60) return scaled(seconds * 1e9, std::array{"ns", "us", "ms", "s"});
  const auto total = static_cast<long long>(std::llround(seconds));
  const auto hours = total / 3600, minutes = total / 60 % 60;
  if (hours > 0) return std::to_string(hours) + " h " + std::to_string(minutes) + " min";
  return std::to_string(minutes) + " min " + std::to_string(total % 60) + " s";
}

}  // namespace bitplan
