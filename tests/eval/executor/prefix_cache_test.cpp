#include "eval/executor/prefix_cache.hpp"

#include <set>

#include "tests/catch.hpp"

namespace bitplan::test {

namespace {

PrefixCache::Snapshot block() { return std::shared_ptr<std::byte[]>(new std::byte[1]); }

/// A sweep: `options` questions about each of the layers in turn, each on every chunk; a question about layer k begins
/// at place k when that is stored, else at an earlier one, and stores place k. Returns the share of layers not
/// computed.
double saved_by_sweep(PrefixCache& cache, const std::vector<std::size_t>& bytes, std::size_t options,
                      std::uint64_t chunks) {
  std::size_t skipped = 0, all = 0;
  for (std::size_t k = 0; k < bytes.size(); ++k)
    for (std::size_t o = 0; o < options; ++o)
      for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
        const auto place = [](std::size_t i) { return std::string(i + 1, 'f'); };
        std::size_t from = k + 1;
        while (from > 0 && !cache.find(chunk, place(from - 1))) --from;
        if (from <= k) cache.keep(chunk, place(k), block(), bytes[k]);
        skipped += from, all += k + 1;
        REQUIRE(cache.counts().bytes <= 1000);
      }
  return static_cast<double>(skipped) / static_cast<double>(all);
}

}  // namespace

TEST_CASE("a stored prefix is found by its chunk and exact content only") {
  PrefixCache cache(100);
  const auto stored = block();
  cache.keep(7, "abc", stored, 10);
  CHECK(cache.find(7, "abc") == stored);
  CHECK(cache.find(8, "abc") == nullptr);
  CHECK(cache.find(7, "ab") == nullptr);
  CHECK(cache.find(7, "abcd") == nullptr);
  CHECK(cache.find(7, "abd") == nullptr);
}

TEST_CASE("a prefix is seen before when another evaluation asked, not another chunk of the same one") {
  PrefixCache cache(100);
  CHECK_FALSE(cache.seen_before(1, "p"));
  CHECK_FALSE(cache.seen_before(1, "p"));
  CHECK(cache.seen_before(2, "p"));
  CHECK(cache.seen_before(2, "p"));
  CHECK_FALSE(cache.seen_before(2, "q"));
}

TEST_CASE("prefixes that are asked about now and then stay known among very many others") {
  PrefixCache cache(100);
  cache.seen_before(1, "shared");
  for (std::uint64_t i = 0; i < 200000; ++i) {
    REQUIRE_FALSE(cache.seen_before(2, "own " + std::to_string(i)));
    if (i % 10000 == 0) REQUIRE(cache.seen_before(2, "shared"));
  }
}

TEST_CASE("the least recently used entry of a chunk goes first") {
  PrefixCache cache(30);
  for (const char* prefix : {"a", "b", "c"}) cache.keep(0, prefix, block(), 10);
  cache.find(0, "a");
  cache.keep(0, "d", block(), 10);
  CHECK(cache.find(0, "a"));
  CHECK_FALSE(cache.find(0, "b"));
  CHECK(cache.find(0, "d"));
  CHECK(cache.counts().bytes == 30);
  CHECK(cache.counts().evicted == 1);
}

TEST_CASE("what is larger than the cache is not stored and pushes nothing out") {
  PrefixCache cache(30);
  cache.keep(0, "a", block(), 10);
  cache.keep(0, "b", block(), 31);
  cache.keep(1, "b", block(), 25);
  CHECK(cache.find(0, "a"));
  CHECK_FALSE(cache.find(0, "b"));
  CHECK_FALSE(cache.find(1, "b"));
  CHECK(cache.counts().bytes == 10);
}

TEST_CASE("a chunk takes its share from the one that holds most") {
  PrefixCache cache(40);
  for (const char* prefix : {"a", "b", "c", "d"}) cache.keep(0, prefix, block(), 10);
  cache.keep(1, "a", block(), 10);
  cache.keep(1, "b", block(), 10);
  CHECK(cache.find(1, "a"));
  CHECK(cache.find(1, "b"));
  CHECK(cache.find(0, "d"));
  CHECK_FALSE(cache.find(0, "a"));
  cache.keep(1, "c", block(), 10);  // beyond its share: in place of its own
  CHECK_FALSE(cache.find(1, "a"));
  CHECK(cache.find(0, "c"));
}

TEST_CASE("a sweep over data that fit finds all but the first of each place") {
  PrefixCache cache(1000);
  CHECK(saved_by_sweep(cache, std::vector<std::size_t>(20, 50), 9, 10) > 0.85);
}

TEST_CASE("a sweep over data k times as large as the cache still saves a k-th, where plain LRU saves nothing") {
  PrefixCache twice(1000), four(1000);
  CHECK(saved_by_sweep(twice, std::vector<std::size_t>(20, 100), 9, 20) > 0.40);
  CHECK(saved_by_sweep(four, std::vector<std::size_t>(20, 100), 9, 40) > 0.20);
}

TEST_CASE("chunks that found no room get it when tensors become smaller") {
  std::vector<std::size_t> bytes(10, 400);  // two chunks of ten fit
  bytes.insert(bytes.end(), 20, 50);        // all fit
  PrefixCache cache(1000);
  CHECK(saved_by_sweep(cache, bytes, 9, 10) > 0.75);
  for (std::uint64_t chunk = 0; chunk < 10; ++chunk) CHECK(cache.find(chunk, std::string(30, 'f')));
}

}  // namespace bitplan::test
