#include <cmath>
#include <nlohmann/json.hpp>

#include "core/npy.hpp"
#include "tests/apps/program.hpp"
#include "tests/catch.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

/// A folder with a.npy and b.npy, batches of [2, 3, 2].
struct Observe {
  Folder dir{"observe"};
  Observe() {
    put("a", {2, 3, 2}, {0, 1, -2, 2, 4, 8, 1, 0, 0, -1, 8, 4});
    put("b", {2, 3, 2}, {0, 3, -4, 2, 2, 2, 1, 0, 0, -1, 2, 2});
  }
  void put(const std::string& name, Shape shape, const std::vector<float>& values) const {
    write_npy(file(name), Tensor::of(std::move(shape), values));
  }
  std::string file(const std::string& name) const { return (dir.path / (name + ".npy")).string(); }
  auto operator()(const std::string& options) const {
    return run("observe " + file("a") + " " + file("b") + " " + options);
  }
};

}  // namespace

TEST_CASE("observe says the range, scale, zero point and error of all batches") {
  const Observe observe;
  const auto outcome = observe("--observer minmax --bits 4 --json");
  REQUIRE(outcome.status == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["observer"] == "minmax");
  CHECK(json["bits"] == 4);
  CHECK(json["symmetric"] == false);
  CHECK(json["batches"] == 2);
  CHECK(json["values"] == 24);
  CHECK(json["min"] == -4);
  CHECK(json["max"] == 8);
  REQUIRE(json["scale"].size() == 1);
  CHECK(json["scale"][0].get<double>() == Approx(12 / 15.0));
  CHECK(json["zero_point"] == nlohmann::json::array({5}));
  // Steps of 0.8: 1, -1 and 3 (six of them) are 0.2 away from one, 2 and -2 (seven) 0.4; 0, 4, -4 and 8 stand on one.
  CHECK(json["mse"].get<double>() == Approx((6 * 0.04 + 7 * 0.16) / 24));
  CHECK(json["sqnr_db"].get<double>() == Approx(10 * std::log10(218 / (6 * 0.04 + 7 * 0.16))));
  CHECK_THAT(observe("--observer minmax").out, Catch::Contains("zero point"));
}

TEST_CASE("observe finds a quantizer for each channel or token") {
  const Observe observe;
  const auto channels = nlohmann::json::parse(observe("--observer minmax --symmetric --narrow --axis 1 --json").out);
  CHECK(channels["granularity"] == "channel");
  REQUIRE(channels["scale"].size() == 3);
  CHECK(channels["scale"][0].get<double>() == Approx(3 / 127.0));
  CHECK(channels["scale"][1].get<double>() == Approx(4 / 127.0));
  CHECK(channels["scale"][2].get<double>() == Approx(8 / 127.0));
  CHECK(channels["q_min"] == -127);
  CHECK(observe("--axis -2 --observer minmax --symmetric --narrow --json").out ==
        observe("--axis 1 --observer minmax --symmetric --narrow --json").out);
  const auto tokens = nlohmann::json::parse(observe("--observer minmax --per-token --json").out);
  CHECK(tokens["granularity"] == "token");
  REQUIRE(tokens["scale"].size() == 12);
  CHECK(tokens["scale"][2].get<double>() == Approx(8 / 255.0));
  CHECK(tokens["zero_point"][0] == 0);
}

TEST_CASE("observe gives an observer its settings and refuses those that it does not read") {
  const Observe observe;
  const auto half = nlohmann::json::parse(observe("--observer moving_average --momentum 0.5 --json").out);
  CHECK(half["scale"][0].get<double>() == Approx((5.5 + 3) / 255));
  CHECK(observe("--observer percentile --percentile 90").status == 0);
  const auto unused = observe("--observer mse --percentile 90");
  CHECK(unused.status == 2);
  CHECK_THAT(unused.err, Catch::Contains("--percentile is read by observer percentile, percentile:nearest only"));
  CHECK_THAT(observe("--momentum 0.5").err,
             Catch::Contains("--momentum is read by observer moving_average, absmax_average only"));
  CHECK_THAT(observe("--narrow").err, Catch::Contains("--narrow needs --symmetric"));
  CHECK_THAT(observe("--axis 0 --per-token").err, Catch::Contains("--axis and --per-token exclude each other"));
  CHECK(observe("--bits 9").status == 2);
}

TEST_CASE("observe takes batches of different length, and of nothing else different") {
  const Observe observe;
  observe.put("b", {1, 3, 2}, {1, 2, 3, 4, 5, 6});
  CHECK(observe("--axis 1").status == 0);
  const auto axis = observe("--axis 0");
  CHECK(axis.status == 3);
  CHECK_THAT(axis.err, Catch::Contains("b.npy has shape 1x3x2") && Catch::Contains("a.npy has 2x3x2") &&
                           Catch::Contains("and not when it is that of the channels"));
  observe.put("b", {2, 2, 2}, std::vector<float>(8));
  CHECK(observe("").status == 3);
  CHECK_THAT(observe("").err, Catch::Contains("b.npy has shape 2x2x2") &&
                                  Catch::Contains("batches may differ in their first dimension only"));
}

TEST_CASE("observe names what is wrong with its files or observer") {
  const Observe observe;
  const auto unknown = observe("--observer max");
  CHECK(unknown.status == 3);
  CHECK_THAT(unknown.err, Catch::Contains("'max' is not an observer; known: minmax, batch_max"));
  const auto axis = observe("--axis 3");
  CHECK(axis.status == 3);
  CHECK_THAT(axis.err,
             Catch::Contains("--axis 3: ") && Catch::Contains("a.npy has 3 dimensions (2x3x2); allowed: -3 to 2"));
  CHECK_THAT(observe("--axis -4").err, Catch::Contains("--axis -4: "));
  observe.put("b", {2, 3, 2}, {0, 1, NAN, 2, 4, 8, 1, 0, 0, -1, 8, 4});
  for (const char* way : {"", "--axis 1", "--per-token"}) {
    const auto bad = observe(way);
    CHECK(bad.status == 3);
    CHECK_THAT(bad.err, Catch::Contains("b.npy: value 2 of 12 is NaN"));
  }
  observe.put("b", {0, 3, 2}, {});
  CHECK_THAT(observe("").err, Catch::Contains("b.npy of shape 0x3x2 is empty"));
  write_npy(observe.file("b"), Tensor::of({2, 3, 2}, std::vector<std::int64_t>(12)));
  CHECK(observe("").status == 3);
  CHECK_THAT(observe("").err, Catch::Contains("b.npy holds int64; floating-point values are needed (float16, float32 "
                                              "or float64)"));
  std::vector<double> wide(12);
  wide[5] = -1e299;
  write_npy(observe.file("b"), Tensor::of({2, 3, 2}, wide));
  const auto beyond = observe("");
  CHECK(beyond.status == 3);
  CHECK_THAT(beyond.err,
             Catch::Contains("b.npy: value 5 of 12 is -1e+299, beyond float32; magnitudes up to 3.4e+38 are "
                             "allowed"));
  observe.put("a", {}, {1});
  const auto scalar = run("observe " + observe.file("a") + " --per-token");
  CHECK(scalar.status == 3);
  CHECK_THAT(scalar.err, Catch::Contains("--per-token needs values of at least one dimension"));
}

TEST_CASE("observe of zeros has no error to speak of") {
  const Observe observe;
  for (const char* name : {"a", "b"}) observe.put(name, {4}, {0, 0, 0, 0});
  const auto json = nlohmann::json::parse(observe("--json").out);
  CHECK(json["scale"][0] == 1);
  CHECK(json["mse"] == 0);
  CHECK(json["sqnr_db"].is_null());
}
