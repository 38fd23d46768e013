#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

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
  const auto outside = quantize("int4 --axis 2");
  CHECK(outside.status == 2);
  CHECK_THAT(outside.err,
             Catch::Contains("--axis 2: ") && Catch::Contains("w.npy has 2 dimensions (2x4); allowed: -2 to 1"));
  CHECK_THAT(quantize("int4 --axis -3").err, Catch::Contains("--axis -3: ") && Catch::Contains("allowed: -2 to 1"));
}

TEST_CASE("quantize counts negative axes from the last") {
  const Quantized quantize;
  CHECK(quantize("int4 --json --axis -1").out == quantize("int4 --json --axis 1").out);
  CHECK(quantize("int4 --json --axis -2").out == quantize("int4 --json --axis 0").out);
}

TEST_CASE("quantize leaves no array of an earlier choice in its folder, and nothing else touched") {
  const Quantized quantize;
  write_npy(quantize.file("x.npy"), Tensor::of({3, 4}, std::vector<float>{1, 2, 3, 4, 0, 1, 0, 1, 2, -1, 5, 0}));
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(quantize.file("out")))
      names.insert(entry.path().filename());
    return names;
  };
  REQUIRE(quantize("int4:g2+hqq+bias --act " + quantize.file("x.npy")).status == 0);
  CHECK(files() == std::set<std::string>{"bias.npy", "codes.npy", "offsets.npy", "scales.npy", "values.npy"});
  put(quantize.file("out/mine.npy"), "kept");
  const auto second = quantize("nf4");
  REQUIRE(second.status == 0);
  CHECK_THAT(second.err, Catch::Contains("out: values.npy, codes.npy, scales.npy, offsets.npy, bias.npy of an earlier "
                                         "choice removed"));
  CHECK(files() == std::set<std::string>{"codes.npy", "mine.npy", "scales.npy", "values.npy"});
  REQUIRE(quantize("float").status == 0);
  CHECK(files() == std::set<std::string>{"mine.npy", "values.npy"});
}

TEST_CASE("quantize does not remove files of its names from a folder that it has not written to") {
  const Quantized quantize;
  put(quantize.file("out/bias.npy"), "of the layer");
  REQUIRE(quantize("int4").status == 0);
  CHECK(content(quantize.file("out/bias.npy")) == "of the layer");
}

TEST_CASE("quantize refuses to replace a file that it reads") {
  const Quantized quantize;
  write_npy(quantize.file("bias.npy"), Tensor::of({3, 4}, std::vector<float>(12, 1)));
  const auto outcome = run("quantize " + quantize.file("w.npy") + " --choice int4 --act " + quantize.file("bias.npy") +
                           " --out " + quantize.dir.path.string());
  CHECK(outcome.status == 2);
  CHECK_THAT(outcome.err, Catch::Contains("bias.npy is read and would be replaced; give another folder"));
  CHECK_FALSE(std::filesystem::exists(quantize.file("values.npy")));
}

TEST_CASE("a folder that quantize or run cannot make or write is status 3, as for search") {
  const Quantized quantize;
  put(quantize.file("file"), "not a folder");
  const auto outcome = run("quantize " + quantize.file("w.npy") + " --choice int4 --out " + quantize.file("file/out"));
  CHECK(outcome.status == 3);
  CHECK_THAT(outcome.err, Catch::Contains("file/out: the output directory cannot be made: "));
  write_npy(quantize.file("image.npy"), Tensor::of({1, 3, 32, 32}, std::vector<float>(3 * 32 * 32)));
  const auto forward = run("run " + examples() + "/shapes.onnx --input image=" + quantize.file("image.npy") +
                           " --out " + quantize.file("file/out"));
  CHECK(forward.status == 3);
  CHECK_THAT(forward.err, Catch::Contains("file/out: the output directory cannot be made: "));
  std::filesystem::create_directories(quantize.file("out/values.npy/inside"));
  const auto blocked = quantize("int4");
  CHECK(blocked.status == 3);
  CHECK_THAT(blocked.err, Catch::Contains("the output directory cannot be used: ") && Catch::Contains("values.npy"));
  CHECK(std::filesystem::exists(quantize.file("out/values.npy/inside")));
}

TEST_CASE("quantize weighs errors with the energy of inputs") {
  const Quantized quantize;
  write_npy(quantize.dir.path / "x.npy", Tensor::of({3, 4}, std::vector<float>(12, 1)));
  CHECK(quantize("int4+wmse --act " + quantize.file("x.npy")).status == 0);
  const auto plain = quantize("int4 --json --act " + quantize.file("x.npy"));
  REQUIRE(plain.status == 0);
  CHECK(nlohmann::json::parse(plain.out).contains("output_mse"));
  const auto missing = quantize("int4+wmse");
  CHECK(missing.status == 2);
  CHECK_THAT(missing.err, Catch::Contains("choice int4+wmse needs the inputs of the weight: --act FILE.npy"));
  const auto analytic = quantize("int4+bias:analytic --act " + quantize.file("x.npy"));
  CHECK(analytic.status == 2);
  CHECK_THAT(analytic.err,
             Catch::Contains("choice int4+bias:analytic: the analytic bias takes the means of inputs from "
                             "the batch normalisations of a network, a single tensor has none; use +bias "
                             "with --act FILE.npy"));
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
  CHECK_THAT(integers("int4").err, Catch::Contains("holds int64; floating-point values are needed (float16, float32 or "
                                                   "float64)"));
  write_npy(integers.file("w.npy"), Tensor::of({2}, std::vector<double>{1e299, 2}));
  const auto wide = integers("int4");
  CHECK(wide.status == 3);
  CHECK_THAT(wide.err, Catch::Contains("w.npy: value 0 of 2 is 1e+299, beyond float32; magnitudes up to 3.4e+38 are "
                                       "allowed"));
  put(integers.file("w.npy"), std::string("\x93NUMPY\x01\x00\x3e\x00", 10) +
                                  "{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }    \n12345678");
  CHECK_THAT(integers("int4").err, Catch::Contains("w.npy: .npy element type '>f4' is not supported; known: "
                                                   "little-endian float, integer and bool"));
}

TEST_CASE("quantize names the file, the place and the value of inputs beyond float32") {
  const Quantized quantize;
  std::vector<float> x(12, 1);
  x[9] = -1e25F;
  write_npy(quantize.file("x.npy"), Tensor::of({3, 4}, x));
  for (const std::string choice : {"int4", "int4+wmse", "int4+tuned", "int4+awq", "codebook2+wmse"}) {
    const auto outcome = quantize(choice + " --act " + quantize.file("x.npy"));
    INFO(choice);
    CHECK(outcome.status == 3);
    CHECK_THAT(outcome.err,
               Catch::StartsWith("bitplan: " + quantize.file("x.npy") +
                                 ": the mean square of the inputs in channel 1 is beyond float32: sample 2 is -1e+25 "
                                 "there; magnitudes up to 5e+17 are allowed"));
  }
  x[9] = INFINITY;
  write_npy(quantize.file("x.npy"), Tensor::of({3, 4}, x));
  CHECK_THAT(quantize("int4 --act " + quantize.file("x.npy")).err,
             Catch::Contains("x.npy: calibration input of sample 2, channel 1 is inf; inputs must be finite"));
}

TEST_CASE("quantize names both files and how large they are where weights and inputs together overflow") {
  const Quantized quantize({1e38F, -3e38F, 2e38F, 0, 1, 2, 3, 4});
  write_npy(quantize.file("x.npy"), Tensor::of({3, 4}, std::vector<float>{9, 2, 3, 4, 0, 1, 0, 1, 2, -1, 5, 0}));
  for (const std::string choice : {"int4", "int4+awq", "int4+tuned"}) {
    const auto outcome = quantize(choice + " --act " + quantize.file("x.npy"));
    INFO(choice);
    CHECK(outcome.status == 3);
    CHECK_THAT(outcome.err, Catch::Contains("w.npy (values up to 3e+38) with --act ") &&
                                Catch::Contains("x.npy (values up to 9): the output error of channel 0 overflows: its "
                                                "weights, or the layer's inputs, are too large for float32"));
  }
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

namespace {

/// A weight [6, 20] and 50 inputs [50, 20] of it, correlated and with a mean.
struct WithInputs : Quantized {
  std::vector<float> x;
  WithInputs() : Quantized(weights(), {6, 20}) {
    for (int t = 0; t < 50; ++t)
      for (int c = 0; c < 20; ++c)
        x.push_back(static_cast<float>(std::sin(0.7 * t) + 0.4 * std::cos(1.3 * t * (c + 1)) + (c == 4 ? 6 : 0.5)));
    write_npy(dir.path / "x.npy", Tensor::of({5, 10, 20}, x));
  }
  static std::vector<float> weights() {
    std::vector<float> w;
    for (int i = 0; i < 120; ++i) w.push_back(static_cast<float>(std::sin(1.7 * i) + 0.3 * std::cos(0.31 * i * i)));
    return w;
  }
  nlohmann::json json(const std::string& choice) const {
    const auto outcome = (*this)(choice + " --json --act " + file("x.npy"));
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    return nlohmann::json::parse(outcome.out);
  }
  /// E (w' x + b - w x)^2 over inputs and channels, of what stands in out/.
  double output_error() const {
    const Tensor values = read_npy(file("out/values.npy"));
    const std::vector<float> written(values.values<float>().begin(), values.values<float>().end()), w = weights();
    std::vector<float> bias(6);
    if (std::filesystem::exists(file("out/bias.npy"))) {
      const auto read = read_npy(file("out/bias.npy"));
      bias.assign(read.values<float>().begin(), read.values<float>().end());
    }
    double sum = 0;
    for (std::size_t t = 0; t < 50; ++t)
      for (std::size_t r = 0; r < 6; ++r) {
        double error = static_cast<double>(bias[r]);
        for (std::size_t c = 0; c < 20; ++c)
          error += (static_cast<double>(written[r * 20 + c]) - w[r * 20 + c]) * x[t * 20 + c];
        sum += error * error;
      }
    return sum / 50 / 6;
  }
};

}  // namespace

TEST_CASE("quantize rounds by the inputs, adds a bias, and says the error of the outputs") {
  const WithInputs quantize;
  const double nearest = quantize.json("int3")["output_mse"].get<double>();
  CHECK(nearest == Approx(quantize.output_error()).epsilon(1e-3));
  const auto json = quantize.json("int3+gptq+bias");
  CHECK(json["choice"] == "int3+gptq+bias");
  CHECK(json["output_mse"].get<double>() == Approx(quantize.output_error()).epsilon(1e-2));
  CHECK(json["output_mse"].get<double>() < 0.7 * nearest);
  CHECK(json["output_energy"].get<double>() > json["output_mse"].get<double>());
  CHECK(json["stored_bits"] == 120 * 3 + 6 * 32 + 6 * 32);
  CHECK(read_npy(quantize.file("out/bias.npy")).size() == 6);
}

TEST_CASE("the output error is never negative, be there one sample or equal ones") {
  const WithInputs quantize;
  for (const std::size_t samples : {1, 30}) {
    std::vector<float> equal;
    for (std::size_t t = 0; t < samples; ++t) equal.insert(equal.end(), quantize.x.begin(), quantize.x.begin() + 20);
    for (float& x : equal) x += 5;
    write_npy(quantize.file("x.npy"), Tensor::of({static_cast<std::int64_t>(samples), 20}, equal));
    for (const std::string choice : {"int4+bias", "int4:g8+gptq+bias", "int4+tuned", "int3+bias", "int2:g4+bias"}) {
      INFO(samples << ' ' << choice);
      const auto json = quantize.json(choice);
      CHECK(json["output_mse"].get<double>() >= 0);
      CHECK(json["output_mse"].get<double>() <= 1e-6 * json["output_energy"].get<double>());
    }
  }
}

TEST_CASE("quantize writes zero points between codes, column scales and columns in float") {
  const WithInputs quantize;
  quantize.json("int3:g10+hqq");
  CHECK(read_npy(quantize.file("out/offsets.npy")).size() == 12);
  const auto json = quantize.json("int4+awq+outliers5");
  CHECK(read_npy(quantize.file("out/column_scales.npy")).size() == 20);
  CHECK(read_npy(quantize.file("out/float_columns.npy")).integers() == std::vector<std::int64_t>{4});
  CHECK(json["stored_bits"] == 120 * 4 + 6 * 32 + 20 * 32 + 6 * (16 - 4) + 32);
}

TEST_CASE("quantize takes every rounding that the list of roundings shows") {
  const WithInputs quantize;
  const auto listed = run("list roundings --json");
  INFO(listed.err);
  REQUIRE(listed.status == 0);
  const auto names = nlohmann::json::parse(listed.out)["roundings"];
  CHECK(names.size() > 10);
  for (const auto& entry : names) {
    const auto name = entry["name"].get<std::string>();
    INFO(name);
    CHECK_FALSE(entry["summary"].get<std::string>().empty());
    const std::string format = name == "trained" ? "ttq"
                               : name == "nupes" ? "power4"
                               : name == "billm" ? "binary:g10"
                                                 : "int4";
    CHECK(quantize.json(format + "+" + name)["choice"] == (name == "nearest" ? format : format + "+" + name));
  }
}

TEST_CASE("quantize names what is wrong with its inputs") {
  const WithInputs quantize;
  const auto with = [&](const Tensor& inputs) {
    write_npy(quantize.dir.path / "y.npy", inputs);
    return quantize("int4+gptq --act " + quantize.file("y.npy")).err;
  };
  CHECK_THAT(quantize("int4+gptq").err,
             Catch::Contains("choice int4+gptq needs the inputs of the weight: --act FILE.npy"));
  CHECK_THAT(with(Tensor::of({2, 19}, std::vector<float>(38, 1))),
             Catch::Contains("has shape 2x19; its last dimension must be 20"));
  CHECK_THAT(with(Tensor::of({0, 20}, std::vector<float>())), Catch::Contains("y.npy of shape 0x20 is empty"));
  CHECK_THAT(with(Tensor::of({1, 20}, std::vector<float>(20, NAN))), Catch::Contains("y.npy: "));
  CHECK(quantize("int4+gptq --act " + quantize.file("none.npy")).status == 3);
}
