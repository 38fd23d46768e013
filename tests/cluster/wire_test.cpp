#include "cluster/wire.hpp"

#include <bit>
#include <limits>

#include "tests/catch.hpp"
#include "tests/cluster/sample_data.hpp"

using namespace bitplan;

namespace {

WorkUnit sample_work() {
  WorkUnit unit{.id = 0x0123456789abcdef};
  unit.assignment = {0, 1, -2, std::numeric_limits<ChoiceId>::max()};
  unit.role = Role::holdout;
  unit.chunks = {7, 3};
  return unit;
}

UnitResult sample_result() {
  UnitResult result{.id = 42, .status = UnitResult::Status::failed, .text = "äöü \"quoted\""};
  result.seconds = 1.5;
  result.sums = {sample_sums(1), sample_sums(2)};
  return result;
}

/// Every prefix, and one byte too many, must be refused.
template <class Decode>
void refuse_all_other_lengths(std::vector<std::byte> bytes, const Decode& decode) {
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_THROWS_AS(decode(std::span(bytes).first(size)), std::runtime_error);
  bytes.push_back(std::byte{0});
  CHECK_THROWS_WITH(decode(std::span<const std::byte>(bytes)), "message between ranks: 1 bytes left over");
}

}  // namespace

TEST_CASE("a work unit survives the wire") {
  const WorkUnit unit = sample_work(), back = decode_unit(encode(unit));
  CHECK(back.id == unit.id);
  CHECK(back.assignment == unit.assignment);
  CHECK(back.role == unit.role);
  CHECK(back.chunks.first == 7);
  CHECK(back.chunks.count == 3);
}

TEST_CASE("a result survives the wire with the bits of its sums") {
  UnitResult result = sample_result();
  result.sums[1].kl = std::numeric_limits<double>::quiet_NaN();
  result.sums[1].nll = -std::numeric_limits<double>::infinity();
  const UnitResult back = decode_result(encode(result));
  CHECK(back.id == 42);
  CHECK(back.status == UnitResult::Status::failed);
  CHECK(back.text == result.text);
  CHECK(back.seconds == 1.5);
  REQUIRE(back.sums.size() == 2);
  CHECK(back.sums[0] == result.sums[0]);
  CHECK(std::bit_cast<std::uint64_t>(back.sums[1].kl) == std::bit_cast<std::uint64_t>(result.sums[1].kl));
  CHECK(back.sums[1].nll == result.sums[1].nll);
}

TEST_CASE("the other messages survive the wire") {
  const Hello hello = decode_hello(encode(Hello{.identity = "abc", .threads = 5}));
  CHECK(hello.identity == "abc");
  CHECK(hello.threads == 5);
  const Departure departure = decode_departure(encode(Departure{.input_error = true, .text = "no file"}));
  CHECK(departure.input_error);
  CHECK(departure.text == "no file");
  const Goodbye goodbye = decode_goodbye(encode(Goodbye{.all_alive = false, .status = 75}));
  CHECK_FALSE(goodbye.all_alive);
  CHECK(goodbye.status == 75);
  CHECK(decode_id(encode_id(77)) == 77);
  CHECK(decode_sums(encode_sums({})).empty());
}

TEST_CASE("a message that is cut at any byte, or too long, is refused") {
  refuse_all_other_lengths(encode(sample_work()), decode_unit);
  refuse_all_other_lengths(encode(sample_result()), decode_result);
  refuse_all_other_lengths(encode(Hello{.identity = "abc", .threads = 5}), decode_hello);
  refuse_all_other_lengths(encode(Departure{.input_error = true, .text = "no file"}), decode_departure);
  refuse_all_other_lengths(encode(Goodbye{}), decode_goodbye);
  refuse_all_other_lengths(encode_id(77), decode_id);
}

TEST_CASE("a message of another version or with values out of range is refused") {
  auto bytes = encode(sample_work());
  bytes[0] = std::byte{9};
  CHECK_THROWS_WITH(decode_unit(bytes), "message between ranks: version 9, this program speaks 1");

  bytes = encode(sample_work());
  bytes[1 + 8 + 4 + 4 * 2] = std::byte{3};  // version, id, count, four choices, then the role
  CHECK_THROWS_WITH(decode_unit(bytes), "message between ranks: data role 3 is unknown");

  WorkUnit unit = sample_work();
  unit.chunks = {-1, 2};
  CHECK_THROWS_WITH(decode_unit(encode(unit)), "message between ranks: chunk range out of bounds");
  unit.chunks = {0, 0};
  CHECK_THROWS_WITH(decode_unit(encode(unit)), "message between ranks: chunk range out of bounds");
  CHECK_THROWS_WITH(decode_hello(encode(Hello{.identity = "", .threads = 0})),
                    "message between ranks: a rank with 0 threads");

  bytes = encode(sample_work());
  for (std::size_t i = 9; i < 13; ++i) bytes[i] = std::byte{0xff};  // 4294967295 choices
  CHECK_THROWS_WITH(decode_unit(bytes), "message between ranks: count 4294967295 exceeds the message");
}

TEST_CASE("an assignment is cut into at most 8 shards, whatever the ranks") {
  CHECK(chunks_per_shard(1) == 1);
  CHECK(chunks_per_shard(8) == 1);
  CHECK(chunks_per_shard(9) == 2);
  CHECK(chunks_per_shard(16) == 2);
  CHECK(chunks_per_shard(17) == 3);
  for (int chunks = 1; chunks < 300; ++chunks) {
    const int shard = chunks_per_shard(chunks);
    CHECK((chunks + shard - 1) / shard <= 8);
  }
}
