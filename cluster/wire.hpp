#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cluster/work_unit.hpp"

namespace bitplan {

/// What a message is.
enum class Tag : int {
  // for the coordinator
  hello = 1,  ///< Hello: a worker is ready
  result,     ///< UnitResult
  departure,  ///< Departure: a worker cannot go on
  // for a worker
  unit,     ///< WorkUnit
  cancel,   ///< id of a unit: stop it, or do not begin it
  release,  ///< no content: the run is over
  // between mailboxes
  heartbeat,  ///< no content: I live
  farewell,   ///< no content: a released worker has ended its work
  goodbye     ///< Goodbye: every worker has, or is given up
};
constexpr bool is_order(Tag tag) { return tag == Tag::unit || tag == Tag::cancel || tag == Tag::release; }

/// A worker offers itself.
struct Hello {
  std::string identity{};  ///< what it was set up with; must equal the coordinator's
  int threads = 1;
};

/// A worker could not go on.
struct Departure {
  bool input_error = false;
  std::string text{};
};

struct Goodbye {
  bool all_alive = true;  ///< false: end without MPI_Finalize, for a dead rank would hold it
  int status = 0;         ///< exit status of the run
};

/// Messages as bytes: a version byte, then little-endian fields, strings and vectors with their count before them.
/// Decoding checks every length before it is used and throws std::runtime_error on another version, on truncated bytes,
/// on a value out of range and on bytes left over.
std::vector<std::byte> encode(const WorkUnit& unit);
std::vector<std::byte> encode(const UnitResult& result);
std::vector<std::byte> encode(const Hello& hello);
std::vector<std::byte> encode(const Departure& departure);
std::vector<std::byte> encode(const Goodbye& goodbye);
std::vector<std::byte> encode_id(std::uint64_t id);
/// Doubles keep their bits, also of NaN.
std::vector<std::byte> encode_sums(std::span<const LossSums> sums);

WorkUnit decode_unit(std::span<const std::byte> bytes);
UnitResult decode_result(std::span<const std::byte> bytes);
Hello decode_hello(std::span<const std::byte> bytes);
Departure decode_departure(std::span<const std::byte> bytes);
Goodbye decode_goodbye(std::span<const std::byte> bytes);
std::uint64_t decode_id(std::span<const std::byte> bytes);
std::vector<LossSums> decode_sums(std::span<const std::byte> bytes);

}  // namespace bitplan
