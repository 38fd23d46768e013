#include "core/npy.hpp"

#include <filesystem>
#include <fstream>

#include "core/error.hpp"
#include "core/files.hpp"
#include "tests/catch.hpp"
#include "tests/folder.hpp"

using namespace bitplan;
using bitplan::test::Folder;

namespace {

std::string npy(const std::string& dict, const std::string& data) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dict.size());
  text += '\0';
  return text + dict + data;
}

void put(const std::filesystem::path& file, const std::string& content) { std::ofstream(file, std::ios::binary) << content; }

}  // namespace

TEST_CASE("arrays written as .npy and .npz read back the same") {
  const Folder dir("npy");
  const auto a = Tensor::of<float>({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const auto b = Tensor::of<std::int64_t>({}, std::vector<std::int64_t>{-7});
  write_npy(dir.path / "a.npy", a);
  const auto a2 = read_npy(dir.path / "a.npy");
  CHECK(a2.shape() == Shape{2, 3});
  CHECK(a2.values<float>()[5] == 6);
  write_npz(dir.path / "m.npz", {{"a", a}, {"b", b}});
  const auto members = read_npz(dir.path / "m.npz");
  REQUIRE(members.size() == 2);
  CHECK(members.at("a").values<float>()[4] == 5);
  CHECK(members.at("b").shape().empty());
  CHECK(members.at("b").values<std::int64_t>()[0] == -7);
}

TEST_CASE("Fortran order becomes row-major") {
  const Folder dir("npy");
  const std::uint8_t data[] = {1, 4, 2, 5, 3, 6};  // columns of [[1 2 3] [4 5 6]]
  put(dir.path / "f.npy", npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", {reinterpret_cast<const char*>(data), 6}));
  const auto t = read_npy(dir.path / "f.npy");
  CHECK(std::vector<int>(t.values<std::uint8_t>().begin(), t.values<std::uint8_t>().end()) == std::vector<int>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("damaged .npy files are refused with what is wrong") {
  const Folder dir("npy");
  const auto file = dir.path / "d.npy";
  const auto check = [&](const std::string& content, const std::string& message) {
    put(file, content);
    CHECK_THROWS_WITH(read_npy(file), Catch::Contains(message));
  };
  check("", "is not a .npy file");
  check("PK\x03\x04 something else", "is not a .npy file");
  check(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }", "12345678"), "needs 16 bytes, 8 are there");
  check(npy("{'descr': '|O', 'fortran_order': False, 'shape': (4,), }", "12345678"), "element type '|O' is not supported");
  check(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234"), "'>f4' is not supported");
  check(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }", ""), "shape");
  check(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", ""), "too many elements");
  check(npy("{'descr': '<f4', 'fortran_order': False, }", ""), "no shape");
  check(std::string("\x93NUMPY\x01\x00\xff\xff{", 11), "truncated .npy header");
  CHECK_THROWS_WITH(read_npy(dir.path / "none.npy"), Catch::Contains("none.npy: cannot be read"));
  put(file, "no zip");
  CHECK_THROWS_WITH(read_npz(file), Catch::Contains("cannot be read as .npz"));
}

TEST_CASE("a .npy truncated at any byte is refused, never read past its end") {
  const Folder dir("npy");
  write_npy(dir.path / "a.npy", Tensor::of<float>({5}, std::vector<float>(5)));
  const auto whole = read_text(dir.path / "a.npy");
  for (std::size_t n = 0; n < whole.size(); ++n) {
    put(dir.path / "t.npy", whole.substr(0, n));
    CHECK_THROWS_AS(read_npy(dir.path / "t.npy"), InputError);
  }
}
