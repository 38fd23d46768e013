// What a choice says besides format, granularity and range: rounding, awq, outliers, compensation.

#include <set>

#include "core/error.hpp"
#include "quant/choice.hpp"
#include "quant/roundings/level_roundings.hpp"
#include "quant/roundings/roundings.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

const ChoiceDefaults kWeights = ChoiceDefaults::weights();

Choice from_yaml(const std::string& text, const ChoiceDefaults& defaults = kWeights) {
  return read_choice(Yaml::parse_text("choice: " + text + "\n", "t.yaml").at("choice"), defaults, kWeights);
}

ChoiceDefaults defaults_from(const std::string& text) {
  return read_choice_defaults(Yaml::parse_text(text, "t.yaml"), kWeights);
}

std::set<std::string> every_rounding() {
  std::set<std::string> names;
  for (const auto& rounding : roundings()) names.emplace(rounding.name);
  for (const auto& rounding : level_roundings()) names.emplace(rounding.name);
  return names;
}

/// Whether the tables say that a format can follow a rounding.
bool can_follow(const FormatEntry& format, const std::string& name) {
  if (format.family == FormatFamily::floating) return false;
  if (name == "nearest") return true;
  if (format.family == FormatFamily::integer) return format.bits <= 8 && rounding_named(name) != nullptr;
  return level_rounding_named(name) != nullptr && level_rounding_named(name)->takes(format);
}

}  // namespace

TEST_CASE("every format with every rounding is a choice whose label parses back, or an error that names the formats") {
  int taken = 0, refused = 0;
  for (const auto& format : formats())
    for (const auto& name : every_rounding()) {
      const std::string text = std::string(format.name) + "+" + name;
      INFO(text);
      if (!can_follow(format, name)) {
        ++refused;
        CHECK_THROWS_AS(weight_choice(text), InputError);
        if (format.name != "float")
          CHECK_THROWS_WITH(weight_choice(text), Contains("is not a choice: rounding " + name + " is for ") &&
                                                     !Contains(", " + std::string(format.name) + ","));
        continue;
      }
      ++taken;
      const Choice choice = weight_choice(text);
      CHECK(choice.rounding == name);
      CHECK(choice.label == (name == "nearest" ? std::string(format.name) : text));
      CHECK(weight_choice(choice.label) == choice);
      CHECK(choice.is_prepared() == (name != "nearest"));
    }
  CHECK(taken > 100);
  CHECK(refused > 100);
}

TEST_CASE("rounding, awq, outliers and bias stand in a label in one order, and it parses back") {
  CHECK(weight_choice("int4+bias+outliers0.5+awq+gptq:actorder:g32").label ==
        "int4:g32+gptq:actorder+awq+outliers0.5+bias");
  CHECK(weight_choice("int3:g64+affine+minmax+gptq+bias").label == "int3:g64+affine+minmax+gptq+bias");
}

TEST_CASE("all combinations of what stands besides a format have labels that parse back") {
  for (const std::string format : {"int4", "int3:g32", "int4+affine", "int4+narrow+absmax", "nf4", "fp4:g16+wmse"})
    for (const std::string rounding : {"", "+gptq", "+gptq:actorder"})
      for (const std::string awq : {"", "+awq"})
        for (const std::string outliers : {"", "+outliers1", "+outliers12.5", "+outliers50", "+outliers1e-05"})
          for (const std::string bias : {"", "+bias", "+bias:analytic"}) {
            const std::string label = format + rounding + awq + outliers + bias;
            INFO(label);
            const Choice choice = weight_choice(label);
            CHECK(choice.label == label);
            CHECK(weight_choice(choice.label) == choice);
            CHECK(choice.awq == !awq.empty());
            CHECK(choice.bias == (bias.empty()     ? BiasCorrection::none
                                  : bias == "+bias" ? BiasCorrection::empirical
                                                    : BiasCorrection::analytic));
            CHECK((choice.outliers > 0) == !outliers.empty());
            const std::string analytic = format + "+bias:analytic";
            CHECK(choice.needs_data() == ((label != format && label != analytic) || format.ends_with("wmse")));
          }
}

TEST_CASE("hqq is affine from min to max whatever the defaults say, and its label says neither") {
  ChoiceDefaults defaults = kWeights;
  defaults.narrow = true;
  defaults.range = RangeMethod::percentile;
  defaults.percentile = 99;
  for (const std::string name : {"hqq", "hqq:grid", "hqq:alternating", "hqq:legacy"}) {
    const Choice choice = parse_choice("int3:g64+" + name, defaults, kWeights);
    CHECK_FALSE(choice.symmetric);
    CHECK_FALSE(choice.narrow);
    CHECK(choice.range == RangeMethod::minmax);
    CHECK(choice.label == "int3:g64+" + name);
    CHECK(weight_choice("int3:g64+affine+" + name) == choice);
    CHECK_FALSE(choice.needs_data());
    CHECK(choice.is_prepared());
  }
  CHECK(weight_choice("int1:g8+hqq").label == "int1:g8+hqq");
}

TEST_CASE("a choice is prepared when it needs data or long computing") {
  for (const std::string text : {"int4", "nf4", "int4+affine+minmax", "float", "binary"}) {
    CHECK_FALSE(weight_choice(text).needs_data());
    CHECK_FALSE(weight_choice(text).is_prepared());
  }
  for (const std::string text : {"int4+gptq", "int4+wmse", "int4+gain", "int4+awq", "int4+outliers1", "int4+bias",
                                 "nf4+gptq", "ttq+trained", "binary+billm", "int4+adaround", "int4+hqq+bias"}) {
    CHECK(weight_choice(text).needs_data());
    CHECK(weight_choice(text).is_prepared());
  }
}

TEST_CASE("an analytic bias needs no data, is prepared, and stands in texts and maps") {
  const Choice choice = weight_choice("int4+bias:analytic");
  CHECK(choice.bias == BiasCorrection::analytic);
  CHECK_FALSE(choice.needs_data());
  CHECK(choice.is_prepared());
  CHECK(weight_choice("int4+bias:analytic:g32").label == "int4:g32+bias:analytic");
  CHECK(weight_choice("int4+bias:g32").label == "int4:g32+bias");
  CHECK(weight_choice("int4+bias:analytic+gptq").label == "int4+gptq+bias:analytic");
  CHECK(from_yaml("{format: int4, compensation: analytic}") == choice);
  const ChoiceDefaults defaults = defaults_from("{compensation: analytic}");
  CHECK(parse_choice("int4", defaults, kWeights) == choice);
  CHECK(parse_choice("int4+bias", defaults, kWeights) == weight_choice("int4+bias"));
  CHECK(from_yaml("{format: int4, compensation: none}", defaults) == weight_choice("int4"));
  const WeightView view{1, 6, 10};
  CHECK(stored_bits(view, choice) == stored_bits(view, weight_choice("int4")) + 6 * 32);
}

TEST_CASE("words about rounding that cannot be followed are errors") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"int16+gptq", "rounding gptq is for int1, int2, int3, int4, int5, int6, int7, int8"},
      {"nf4+adaround", "rounding adaround is for int1, int2, int3, int4, int5, int6, int7, int8"},
      {"nf4+hqq", "rounding hqq is for int1, int2, int3, int4, int5, int6, int7, int8"},
      {"int4+billm", "rounding billm is for binary"},
      {"int4+trained", "rounding trained is for "},
      {"int4+hqq+symmetric", "rounding hqq finds zero points: not symmetric"},
      {"int4+hqq:grid+narrow", "narrow needs symmetric"},
      {"int4+hqq+mse", "rounding hqq finds its own range"},
      {"int4+hqq+minmax", "rounding hqq finds its own range"},
      {"int4+hqq+gain", "rounding hqq finds its own range"},
      {"int4:tensor+hqq", "rounding hqq gives parts scales of their own: it needs channels or groups"},
      {"int4:tensor+signround", "rounding signround gives parts scales of their own: it needs channels or groups"},
      {"int4:tensor+flexround", "rounding flexround gives parts scales of their own: it needs channels or groups"},
      {"int4+pow2+signround", "rounding signround would make the scale no power of two"},
      {"int4+gptq+hqq", "rounding is said twice"},
      {"int4+nearest+gptq", "rounding is said twice"},
      {"int4+awq+awq", "awq is said twice"},
      {"int4+bias+bias", "bias is said twice"},
      {"int4+bias+bias:analytic", "bias is said twice"},
      {"int4+bias:data", "'data' is not a granularity"},
      {"float+bias:analytic", "float has no granularity and no modifiers"},
      {"int4+outliers1+outliers2", "outliers is said twice"},
      {"int4+outliers", "'outliers' has no number of per cent, as in outliers1"},
      {"int4+outliersx", "'outliersx' has no number of per cent, as in outliers1"},
      {"int4+outliers0", "the share of outliers must be above 0 and at most 50 per cent"},
      {"int4+outliers-1", "the share of outliers must be above 0 and at most 50 per cent"},
      {"int4+outliersnan", "the share of outliers must be above 0 and at most 50 per cent"},
      {"int4+outliers50.5", "the share of outliers must be above 0 and at most 50 per cent"},
      {"binary+billm+gain", "rounding billm finds its own scales: no gain"},
      {"float+gptq", "float has no granularity and no modifiers"},
      {"float+bias", "float has no granularity and no modifiers"},
      {"float+awq", "float has no granularity and no modifiers"},
      {"float+outliers1", "float has no granularity and no modifiers"},
  };
  for (const auto& [text, message] : cases) {
    INFO(text);
    CHECK_THROWS_WITH(weight_choice(text), Catch::Matchers::StartsWith("'" + text + "' is not a choice: " + message));
  }
  CHECK_THROWS_WITH(weight_choice("int4+gptq:x"), Contains("is not a granularity"));
  CHECK_THROWS_WITH(weight_choice("int4+hqq:"), Contains("is not a granularity"));
}

TEST_CASE("roundings are not for activations") {
  const ChoiceDefaults kind = ChoiceDefaults::activations();
  for (const std::string text : {"int8+gptq", "int8+hqq", "int8+awq", "int8+bias", "int8+bias:analytic", "int8+signround", "int8+nearest"})
    CHECK_THROWS_WITH(parse_choice(text, kind, kind),
                      Contains("'" + text + "' is not a choice: ") && EndsWith("for weights"));
}

TEST_CASE("the map of a choice says rounding, awq, outliers and compensation") {
  CHECK(from_yaml("{format: int4, rounding: gptq}") == weight_choice("int4+gptq"));
  CHECK(from_yaml("{format: int3, granularity: group:64, rounding: 'gptq:actorder', awq: true, outliers: 1.5, "
                  "compensation: bias}") == weight_choice("int3:g64+gptq:actorder+awq+outliers1.5+bias"));
  CHECK(from_yaml("{format: int4, rounding: nearest, awq: false, compensation: none}") == weight_choice("int4"));
  CHECK(from_yaml("{format: nf4, rounding: gptq, compensation: bias}") == weight_choice("nf4+gptq+bias"));
  CHECK(from_yaml("int4+hqq+bias") == weight_choice("int4+hqq+bias"));
}

TEST_CASE("a wrong rounding, share or compensation in YAML is an error with its place") {
  CHECK_THROWS_WITH(from_yaml("{format: int4, rounding: gpt}"),
                    "t.yaml:1:34: choice.rounding: 'gpt' is not a rounding; known: nearest, hqq, hqq:grid, "
                    "hqq:alternating, hqq:legacy, descent, gptq, gptq:actorder, gptq:descent, adaround, flexround, "
                    "signround, trained, nupes, billm");
  CHECK_THROWS_WITH(from_yaml("{format: int4, compensation: biases}"),
                    "t.yaml:1:38: choice.compensation: 'biases' is not a compensation; known: none, bias, analytic");
  CHECK_THROWS_WITH(from_yaml("{format: int4, outliers: 0}"), Contains("choice.outliers: must be from 0.01 to 50"));
  CHECK_THROWS_WITH(from_yaml("{format: int4, outliers: 51}"), Contains("choice.outliers: must be from 0.01 to 50"));
  CHECK_THROWS_WITH(from_yaml("{format: int4, awq: 3}"), Contains("choice.awq: "));
  CHECK_THROWS_WITH(from_yaml("{format: nf4, rounding: adaround}"),
                    "t.yaml:1:9: choice: rounding adaround is for int1, int2, int3, int4, int5, int6, int7, int8");
  CHECK_THROWS_WITH(from_yaml("{format: int4, rounding: hqq, symmetric: true}"),
                    "t.yaml:1:9: choice: rounding hqq finds zero points: not symmetric");
  CHECK_THROWS_WITH(from_yaml("{format: float, rounding: gptq}"),
                    "t.yaml:1:9: choice: float has no granularity and no modifiers");
  CHECK_THROWS_WITH(defaults_from("{rounding: gpt}"),
                    Contains("t.yaml:1:12: rounding: 'gpt' is not a rounding; known: "));
  CHECK_THROWS_WITH(defaults_from("{compensation: yes}"),
                    "t.yaml:1:16: compensation: 'yes' is not a compensation; known: none, bias, analytic");
}

TEST_CASE("rounding and compensation of an experiment are those of choices that say nothing and can follow them") {
  const ChoiceDefaults defaults = defaults_from("{rounding: adaround, compensation: bias}");
  const auto label = [&](const std::string& text) { return parse_choice(text, defaults, kWeights).label; };
  CHECK(label("int4") == "int4+adaround+bias");
  CHECK(label("int4+gptq") == "int4+gptq+bias");
  CHECK(label("int4+nearest") == "int4+bias");
  CHECK(label("nf4") == "nf4+bias");
  CHECK(label("float") == "float");
  CHECK(label("int16") == "int16+bias");
  CHECK(from_yaml("{format: int4, compensation: none, rounding: nearest}", defaults) == weight_choice("int4"));
  for (const auto& format : formats())
    for (const auto& name : every_rounding()) {
      const Choice choice =
          parse_choice(format.name, defaults_from("{rounding: '" + name + "', compensation: bias}"), kWeights);
      INFO(format.name << ' ' << name);
      CHECK(choice.rounding == (can_follow(format, name) ? name : "nearest"));
      CHECK(weight_choice(choice.label) == choice);
    }
}

TEST_CASE("hqq as the rounding of an experiment is said twice by no choice's symmetry or range of the experiment") {
  const ChoiceDefaults defaults = defaults_from("{rounding: hqq, range: mse, symmetric: true, narrow: true}");
  const Choice choice = parse_choice("int4", defaults, kWeights);
  CHECK(choice.label == "int4+hqq");
  CHECK(weight_choice("int4+hqq") == choice);
}

TEST_CASE("tuned: affine below 8 bits, symmetric with 8, range fit, gptq, refit and bias; nothing else can be said beside it") {
  CHECK(weight_choice("int4+affine+fit+gptq+refit+bias").label == "int4+tuned");
  CHECK(weight_choice("int8:g32+fit+gptq+refit+bias").label == "int8:g32+tuned");
  CHECK(weight_choice("int3:tensor+affine+fit+gptq+bias").label == "int3:tensor+tuned");
  CHECK(weight_choice("int1+fit+gptq+refit+bias").label == "int1+tuned");
  CHECK(weight_choice("int4+tuned+awq").label == "int4+tuned+awq");
  for (const char* text : {"int1+tuned", "int2:g64+tuned", "int3:tensor+tuned", "int7+tuned+outliers1", "int8+tuned"})
    CHECK(weight_choice(text).label == text);
  for (const char* word : {"symmetric", "affine", "narrow", "mse", "gain", "adaround", "refit", "bias"})
    CHECK_THROWS_WITH(weight_choice(std::string("int4+tuned+") + word),
                      Catch::Contains("none of them can be said beside it"));
  for (const char* text : {"nf4+tuned", "int16+tuned", "mxfp4+tuned"})
    CHECK_THROWS_WITH(weight_choice(text), Catch::Contains("tuned is for int1 to int8"));
  CHECK_THROWS_WITH(parse_choice("int8+tuned", ChoiceDefaults::activations(), ChoiceDefaults::activations()),
                    Catch::Contains("tuned is for weights"));
}

TEST_CASE("with tuned as the default, choices of integers that say but bits and granularity take it") {
  ChoiceDefaults defaults = kWeights;
  defaults.tuned = true;
  const auto label = [&](const char* text) { return parse_choice(text, defaults, kWeights).label; };
  CHECK(label("int4") == "int4+tuned");
  CHECK(label("int3:g64") == "int3:g64+tuned");
  CHECK(label("int4+awq") == "int4+tuned+awq");
  for (const char* text : {"int4+gptq", "int4+absmax", "int4+affine", "nf4", "int16", "float", "mxfp4"})
    CHECK(label(text) == weight_choice(text).label);
}
