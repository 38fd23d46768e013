#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitplan {

/// A number with a unit as users write it: "1.2MB", "3h30m", "2ms", "50%", "4.25", "900uJ".
struct Quantity {
  enum class Kind { plain, percent, bytes, time, energy };
  Kind kind = Kind::plain;
  double value = 0;  ///< plain as is; percent 0…100; bytes; seconds; joules
};

/// Nothing when `text` is no such number. Bytes: B kB MB GB (1000) KiB MiB GiB (1024); time: ns us ms s m h d, also
/// joined ("3h30m"); energy: fJ pJ nJ uJ mJ J.
std::optional<Quantity> parse_quantity(std::string_view text);

std::string format_bytes(double bytes);      ///< "1.23 MB"
std::string format_seconds(double seconds);  ///< "830 ms", "12.3 s", "3 min 20 s"
std::string format_joules(double joules);    ///< "12.3 uJ"
std::string format_count(double count);      ///< "12.3 M"

}  // namespace bitplan
