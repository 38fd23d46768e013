#include <nlohmann/json.hpp>

#include "core/npy.hpp"
#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// A folder with w.npy of [2, 4] and what `quantize` makes of it in out/.
struct Quantized {
  Folder dir{"quantize"};
  explicit Quantized(std::vector<float> weights = {7, -3, 3.4F, 0, 14, -16, 5, 1}, Shape shape = {2, 4}) {
    write_npy(dir.path / "w.npy", Tensor::of(std::move(shape), weights));
  }
  std::string file(const std::string& name) const { return (dir.path / name).string(); }
  auto operator()(const std::string& options) const {
    return run("quantize " + file("w.npy") + " --out " + file("out") + " --choice " + options);
  }
};

}  // namespace

TEST_CASE("quantize writes codes, scales, zero points and values and says their errors") {
  const Quantized quantize;
  const auto outcome = quantize("int4+absmax --json");
  REQUIRE(outcome.status == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["choice"] == "int4+absmax");
  CHECK(json["parts"] == 2);
  CHECK(json["stored_bits"] == 8 * 4 + 2 * 32);
  CHECK(json["bits_per_weight"] == 12);
  CHECK(json["files"].size() == 4);
  const Tensor scales = read_npy(quantize.file("out/scales.npy")), codes = read_npy(quantize.file("out/codes.npy"));
  CHECK(scales.values<float>()[1] == 16.0F / 7);
  CHECK(codes.shape() == Shape{2, 4});
  CHECK(codes.integers() == std::vector<std::int64_t>{7, -3, 3, 0, 6, -7, 2, 0});
  const Tensor written = read_npy(quantize.file("out/values.npy"));
  double sum = 0;
  const std::vector<float> weights{7, -3, 3.4F, 0, 14, -16, 5, 1};
  for (std::size_t i = 0; i < 8; ++i) sum += std::pow(static_cast<double>(written.values<float>()[i]) - weights[i], 2);
  CHECK(json["mse"].get<double>() == Approx(sum / 8));
}

TEST_CASE("quantize writes the code book of formats that have one, and takes the channels' axis") {
  const Quantized quantize;
  CHECK(quantize("ternary:channel --axis 1").status == 0);
  CHECK(read_npy(quantize.file("out/code_book.npy")).size() == 4 * 3);
  CHECK(quantize("int4 --axis 2").status == 2);
}

TEST_CASE("quantize weighs errors with the energy of inputs") {
  const Quantized quantize;
  write_npy(quantize.dir.path / "x.npy", Tensor::of({3, 4}, std::vector<float>(12, 1)));
  CHECK(quantize("int4+wmse --act " + quantize.file("x.npy")).status == 0);
  const auto unused = quantize("int4 --act " + quantize.file("x.npy"));
  CHECK(unused.status == 2);
  CHECK_THAT(unused.err, Catch::Contains("--act is read by range wmse only"));
  const auto missing = quantize("int4+wmse");
  CHECK(missing.status == 3);
  CHECK_THAT(missing.err, Catch::Contains("w.npy: range wmse needs the energy of the layer's input"));
  write_npy(quantize.dir.path / "x.npy", Tensor::of({3, 5}, std::vector<float>(15, 1)));
  CHECK_THAT(quantize("int4+wmse --act " + quantize.file("x.npy")).err,
             Catch::Contains("has shape 3x5; its last dimension must be 4"));
}

TEST_CASE("quantize names what is wrong with its file or choice") {
  CHECK_THAT(Quantized({1, NAN}, {2})("int4").err, Catch::Contains("w.npy: value 1 of 2 is NaN"));
  CHECK_THAT(Quantized({}, {0, 4})("int4").err, Catch::Contains("w.npy of shape 0x4 is empty"));
  CHECK_THAT(Quantized()("int9").err, Catch::Contains("'int9' is not a choice; known: float, int1"));
  const Quantized integers;
  write_npy(integers.dir.path / "w.npy", Tensor::of({2}, std::vector<std::int64_t>{1, 2}));
  CHECK_THAT(integers("int4").err, Catch::Contains("holds int64; floating-point values are needed"));
}

TEST_CASE("quantize makes a group longer than the axis the axis, and keeps zeros") {
  const Quantized zeros(std::vector<float>(8, 0.0F), {2, 4});
  const auto outcome = zeros("int4:g1000 --json");
  REQUIRE(outcome.status == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["parts"] == 2);
  CHECK(json["mse"] == 0);
  CHECK(json["sqnr_db"].is_null());
}
