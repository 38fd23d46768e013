#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/error.hpp"
#include "core/files.hpp"
#include "core/hash.hpp"
#include "core/parallel.hpp"
#include "core/rng.hpp"
#include "core/tensor.hpp"
#include "core/units.hpp"
#include "tests/catch.hpp"
#include "tests/folder.hpp"

using namespace bitplan;

TEST_CASE("parallel_for hands an exception to its caller") {
  CHECK_THROWS_WITH(parallel_for(100, 2, [](std::size_t i, int) { if (i == 57) throw InputError("57"); }), "57");
}

TEST_CASE("parallel_for hands on the exception of the lowest index, whichever came first") {
  for (const int threads : {1, 2, 5}) {
    std::atomic<bool> later = false;  // with several threads, index 3 throws after one above it did
    const auto body = [&](std::size_t i, int) {
      while (i == 3 && threads > 1 && !later) std::this_thread::yield();
      later = later || i > 3;
      if (i >= 3) throw InputError(std::to_string(i));
    };
    CHECK_THROWS_WITH(parallel_for(100, threads, body), "3");
  }
}

TEST_CASE("parallel_for visits each index once and never two at a time with one worker") {
  std::vector<int> visits(1000);
  std::vector<int> busy(3);
  parallel_for(visits.size(), 3, [&](std::size_t i, int worker) {
    if (++busy[static_cast<std::size_t>(worker)] != 1) throw std::logic_error("worker is busy");
    ++visits[i];
    --busy[static_cast<std::size_t>(worker)];
  });
  CHECK(visits == std::vector<int>(1000, 1));
}

TEST_CASE("random streams depend on seed, purpose and index alone") {
  CHECK(Rng(1, "a", 2).bits() == Rng(1, "a", 2).bits());
  const std::set<std::uint64_t> first{Rng(1, "a", 0).bits(), Rng(2, "a", 0).bits(), Rng(1, "b", 0).bits(), Rng(1, "a", 1).bits()};
  CHECK(first.size() == 4);
  Rng rng(3, "below");
  for (int i = 0; i < 1000; ++i) CHECK(rng.below(7) < 7);
}

TEST_CASE("normal numbers have mean 0 and variance 1") {
  Rng rng(5, "normal");
  double sum = 0, squares = 0;
  for (int i = 0; i < 20000; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
  }
  CHECK(std::abs(sum / 20000) < 0.03);
  CHECK(std::abs(squares / 20000 - 1) < 0.05);
}

TEST_CASE("a copied tensor keeps its values when the other is written") {
  auto a = Tensor::of<float>({3}, std::vector<float>{1, 2, 3});
  const auto b = a;
  a.writable<float>()[0] = 9;
  CHECK(b.values<float>()[0] == 1);
  CHECK(a.values<float>()[0] == 9);
}

TEST_CASE("tensors convert between types, floats to integers saturating") {
  const auto f = Tensor::of<float>({4}, std::vector<float>{-1.9f, 2.5f, 3e10f, NAN});
  const auto i = f.cast(DType::i32);
  CHECK(std::vector<int>(i.values<std::int32_t>().begin(), i.values<std::int32_t>().end()) ==
        std::vector<int>{-1, 2, 2147483647, 0});
  CHECK(f.cast(DType::boolean).values<bool>()[0]);
  CHECK(i.integers()[1] == 2);
}

TEST_CASE("16-bit floats convert exactly") {
  CHECK(f16_to_f32(0x3c00) == 1.0f);
  CHECK(f16_to_f32(0xc000) == -2.0f);
  CHECK(f16_to_f32(0x7bff) == 65504.0f);
  CHECK(f16_to_f32(0x0001) == 0x1p-24f);
  CHECK(bf16_to_f32(0x3f80) == 1.0f);
}

TEST_CASE("absurd shapes are refused before memory is taken") {
  CHECK_THROWS_WITH(element_count({-1, 3}), "shape -1x3 has a negative dimension");
  CHECK_THROWS_WITH(element_count({1 << 30, 1 << 30, 16}), Catch::Contains("too many elements"));
  CHECK(element_count({0, 5}) == 0);
  CHECK(element_count({}) == 1);
}

TEST_CASE("quantities are read with their units") {
  CHECK(parse_quantity("1.2MB")->value == 1.2e6);
  CHECK(parse_quantity("3h30m")->value == 12600);
  CHECK(parse_quantity("2ms")->value == 0.002);
  CHECK(parse_quantity("50%")->kind == Quantity::Kind::percent);
  CHECK(parse_quantity("4.25")->kind == Quantity::Kind::plain);
  CHECK(parse_quantity("16 KiB")->value == 16384);
  CHECK(parse_quantity("900uJ")->value == Approx(9e-4));
  for (const auto* bad : {"", "MB", "1.2XB", "3h2MB", "1MB2MB", "nan", "inf", "1 2"}) CHECK_FALSE(parse_quantity(bad));
}

TEST_CASE("figures are printed with three digits and the unit that fits") {
  CHECK(format_bytes(1234567) == "1.23 MB");
  CHECK(format_bytes(12) == "12 B");
  CHECK(format_seconds(0.0021) == "2.10 ms");
  CHECK(format_seconds(200) == "3 min 20 s");
  CHECK(format_seconds(7260) == "2 h 1 min");
  CHECK(format_count(40551040) == "40.6 M");
}

TEST_CASE("files are replaced in one step and errors name the file") {
  const test::Folder folder("files");
  const auto& dir = folder.path;
  write_text_atomically(dir / "a.txt", "one");
  write_text_atomically(dir / "a.txt", "two");
  CHECK(read_text(dir / "a.txt") == "two");
  CHECK(std::distance(std::filesystem::directory_iterator(dir), {}) == 1);
  CHECK_THROWS_WITH(write_text_atomically(dir / "none" / "a.txt", "x"), Catch::Contains("a.txt: cannot be written: No such file"));
  CHECK_THROWS_WITH(read_text(dir / "b.txt"), Catch::Contains("b.txt: cannot be read: No such file"));
  CHECK_THROWS_WITH(read_text(dir), Catch::Contains("is a folder"));
}

TEST_CASE("hashes are the published ones") {
  CHECK(hex(hash64("")) == "2d06800538d394c2");  // XXH3 of nothing
  const test::Folder folder("sha");
  const auto file = folder.path / "abc";
  std::ofstream(file) << "abc";
  CHECK(sha256_file(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
