#include "quant/choice.hpp"

#include "core/error.hpp"
#include "tests/catch.hpp"
#include "tests/quant/samples.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

const ChoiceDefaults kWeights = ChoiceDefaults::weights();
const ChoiceDefaults kActivations = ChoiceDefaults::activations();

Choice weight(const std::string& text) { return parse_choice(text, kWeights, kWeights); }
Choice activation(const std::string& text) { return parse_choice(text, kActivations, kActivations); }

Choice from_yaml(const std::string& text, const ChoiceDefaults& defaults, const ChoiceDefaults& kind) {
  return read_choice(Yaml::parse_text("choice: " + text + "\n", "t.yaml").at("choice"), defaults, kind);
}
Choice from_yaml(const std::string& text) { return from_yaml(text, kWeights, kWeights); }

}  // namespace

TEST_CASE("every format is a choice of weights whose label is its name") {
  for (const auto& format : formats()) {
    const Choice choice = weight(std::string(format.name));
    CHECK(choice.label == format.name);
    CHECK(choice.format == format.name);
    CHECK(choice.family == format.family);
    CHECK(choice.bits == format.bits);
    CHECK(choice.is_float == (format.name == "float"));
    CHECK_FALSE(format.summary.empty());
  }
}

TEST_CASE("activations are float or integers of 2 to 8 bits") {
  for (const auto& format : formats()) {
    const std::string name(format.name);
    if (is_plain_integer(format) || name == "float")
      CHECK(activation(name).label == name);
    else
      CHECK_THROWS_WITH(activation(name), "'" + name + "' is not a choice: activations are integers of 2 to 8 bits");
  }
  CHECK_THROWS_WITH(activation("int8+gain"),
                    "'int8+gain' is not a choice: gain, rounding, refit, awq and bias are for weights");
}

TEST_CASE("formats other than integers have their own granularity and no clipping unless said otherwise") {
  const Granularity group64{Granularity::Kind::group, 64}, group32{Granularity::Kind::group, 32};
  ChoiceDefaults defaults = kWeights;
  defaults.granularity = {Granularity::Kind::group, 7};
  defaults.range = RangeMethod::percentile;
  CHECK(parse_choice("nf4", defaults, kWeights).granularity == group64);
  CHECK(parse_choice("mxfp4", defaults, kWeights).granularity == group32);
  CHECK(parse_choice("mxfp8:e5m2:away", defaults, kWeights).granularity == group32);
  CHECK(parse_choice("mxfp8:e5m2:away+gptq", defaults, kWeights).label == "mxfp8:e5m2:away+gptq");
  CHECK(parse_choice("codebook4", defaults, kWeights).granularity.kind == Granularity::Kind::tensor);
  CHECK(parse_choice("fp8", defaults, kWeights).granularity.group == 7);
  CHECK(parse_choice("fp8", defaults, kWeights).range == RangeMethod::absmax);
  CHECK(weight("fp8:e5m2:g16+mse").label == "fp8:e5m2:g16+mse");
  CHECK(weight("fp8:e5m2").format == "fp8:e5m2");
  CHECK(weight("fp8:tensor").format == "fp8");
  CHECK(weight("nf4:g64").label == "nf4");
  CHECK(weight("nf4:channel").label == "nf4:channel");
  CHECK(weight("codebook4:channel+wmse").label == "codebook4:channel+wmse");
  CHECK(weight("vsint4:g32+scale6").label == "vsint4:g32+scale6");
  CHECK(weight("vsint4:g16+scale4").label == "vsint4");
  CHECK(weight("int4+lp2.4").label == "int4+lp");
  CHECK(weight("int4+lp3+gain").label == "int4+lp3+gain");
  CHECK_FALSE(weight("int1").symmetric);
  CHECK(weight("int1+affine") == weight("int1"));
  CHECK(weight("int16").symmetric);
  defaults.narrow = true;
  CHECK(parse_choice("int16", defaults, kWeights).narrow);
  CHECK_FALSE(parse_choice("int1", defaults, kWeights).narrow);
  CHECK_FALSE(parse_choice("fp8", defaults, kWeights).narrow);
}

TEST_CASE("words that a format cannot follow are errors") {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"mxfp4:g16", "mxfp4 has blocks of 32: no granularity"},
      {"nvfp4:channel", "nvfp4 has blocks of 16: no granularity"},
      {"fp8+affine", "affine, symmetric and narrow are for integers"},
      {"nf4+narrow", "affine, symmetric and narrow are for integers"},
      {"int1+symmetric", "int1 is affine"},
      {"int16+affine", "int16 is symmetric"},
      {"mxfp4+mse", "mxfp4 has no such range method"},
      {"ternary+mse", "ternary has no such range method"},
      {"codebook4+mse", "codebook4 has no such range method"},
      {"fp8+octav", "fp8 has no such range method"},
      {"int4+affine+octav", "range octav needs symmetric"},
      {"int4+affine+pow2", "range pow2 needs symmetric"},
      {"int4+scale6", "scaleN is for vsint formats"},
      {"vsint4+scale", "'scale' has no number of bits, as in scale6"},
      {"vsint4+scale11", "the scale of a vector has 2 to 10 bits"},
      {"int4+lpx", "'lpx' has no exponent, as in lp2.4"},
      {"int4+lp9", "the exponent of lp must be 0.5 to 8"},
      {"mxfp4+gain", "mxfp4 has no scale that gain could change"},
      {"int4+pow2+gain", "gain would make the scale no power of two"},
      {"int4+gain+gain", "gain is said twice"},
      {"float+gain", "float has no granularity and no modifiers"},
  };
  for (const auto& [text, message] : cases)
    CHECK_THROWS_WITH(weight(text), "'" + text + "' is not a choice: " + message);
}

TEST_CASE("a plain choice has the defaults of its kind") {
  const Choice w = weight("int4");
  CHECK(w.symmetric);
  CHECK(w.granularity == Granularity{Granularity::Kind::channel, 0});
  CHECK(w.range == RangeMethod::mse);
  const Choice a = activation("int8");
  CHECK_FALSE(a.symmetric);
  CHECK(a.granularity == Granularity{Granularity::Kind::tensor, 0});
}

TEST_CASE("modifiers set granularity, symmetry, narrow and range") {
  CHECK(weight("int3:g64").granularity == Granularity{Granularity::Kind::group, 64});
  CHECK(weight("int3:tensor").granularity == Granularity{Granularity::Kind::tensor, 0});
  CHECK_FALSE(weight("int4+affine").symmetric);
  CHECK(activation("int4+symmetric").symmetric);
  CHECK(weight("int4+narrow").narrow);
  CHECK(weight("int4+absmax").range == RangeMethod::absmax);
  CHECK(weight("int4+minmax").range == RangeMethod::minmax);
  const Choice choice = weight("int4+percentile99.9");
  CHECK(choice.range == RangeMethod::percentile);
  CHECK(choice.percentile == 99.9);
  CHECK(weight("int4+percentile").percentile == 99.99);
}

TEST_CASE("a label says what differs from the kind's defaults, in one order, and parses to the same choice") {
  const std::vector<std::string> granularities{"", ":g1", ":g64", ":tensor"}, symmetries{"", "+affine", "+narrow"},
      ranges{"", "+absmax", "+minmax", "+percentile", "+percentile99.9", "+percentile50", "+percentile100"};
  for (const auto& format : formats()) {
    if (!is_plain_integer(format)) continue;
    for (const auto& granularity : granularities)
      for (const auto& symmetry : symmetries)
        for (const auto& range : ranges) {
          const std::string label = std::string(format.name) + granularity + symmetry + range;
          CHECK(weight(label).label == label);
          CHECK(weight(weight(label).label) == weight(label));
        }
    for (const auto& symmetry : {"", "+symmetric", "+symmetric+narrow"}) {
      const std::string label = std::string(format.name) + symmetry;
      CHECK(activation(label).label == label);
    }
  }
  CHECK(weight("int4+minmax+affine:g64").label == "int4:g64+affine+minmax");
  CHECK(weight("int4:channel+symmetric+mse").label == "int4");
  CHECK(activation("int8:tensor+affine").label == "int8");
}

TEST_CASE("what a choice does not say comes from the experiment's defaults, and its label says so") {
  ChoiceDefaults defaults = kWeights;
  defaults.granularity = {Granularity::Kind::group, 32};
  defaults.range = RangeMethod::percentile;
  defaults.percentile = 99.5;
  defaults.narrow = true;
  CHECK(parse_choice("int4", defaults, kWeights).label == "int4:g32+narrow+percentile99.5");
  CHECK(parse_choice("int4:channel+mse", defaults, kWeights).label == "int4+narrow");
  CHECK(parse_choice("int4+affine+minmax", defaults, kWeights).label == "int4:g32+affine+minmax");
  for (const auto& format : formats()) {
    const Choice choice = parse_choice(format.name, defaults, kWeights);
    CHECK(parse_choice(choice.label, kWeights, kWeights) == choice);
  }
}

TEST_CASE("a percentile that is not used does not make choices differ") {
  ChoiceDefaults defaults = kWeights;
  defaults.percentile = 99.5;
  CHECK(parse_choice("int4", defaults, kWeights) == weight("int4"));
}

TEST_CASE("an unknown format is an error that lists the known ones") {
  std::string known = "; known: ";
  for (const auto& format : formats()) known += (known.size() > 9 ? ", " : "") + std::string(format.name);
  for (const std::string text : {"int9", "", "int", "Int4", " int4", "int4 ", "int0", "int08", "w4", "e5m2"})
    CHECK_THROWS_WITH(weight(text), "'" + text + "' is not a choice" + known);
  CHECK_THROWS_WITH(weight("int9:g64"), "'int9:g64' is not a choice" + known);
  CHECK_THROWS_AS(weight("int9"), InputError);
}

TEST_CASE("unknown, empty, repeated or useless modifiers are errors") {
  const auto error = [](const std::string& text) { return "'" + text + "' is not a choice: "; };
  const std::string modifiers =
      "known: tuned, affine, symmetric, narrow, gain, refit, scaleN, awq, outliersP, bias, bias:analytic, absmax, "
      "minmax, percentile, mse, grid, lp, "
      "wmse, octav, halfstep, noclip, pow2, pow2_mse, fit, output, nearest, hqq, hqq:grid, hqq:alternating, "
      "hqq:legacy, descent, "
      "gptq, gptq:actorder, gptq:descent, adaround, flexround, signround, trained, nupes, billm";
  CHECK_THROWS_WITH(weight("int4+hq"), error("int4+hq") + "'hq' is not a modifier; " + modifiers);
  CHECK_THROWS_WITH(weight("int4+"), error("int4+") + "'' is not a modifier; " + modifiers);
  const std::string granularities = "is not a granularity; known: tensor, channel, token, gN for groups of N";
  CHECK_THROWS_WITH(weight("int4:row"), error("int4:row") + "'row' " + granularities);
  CHECK_THROWS_WITH(weight("int4:"), error("int4:") + "'' " + granularities);
  CHECK_THROWS_WITH(weight("mxfp8:awy"), error("mxfp8:awy") + "'awy' " + granularities +
                                             "; variants: mxfp8:e5m2, mxfp8:away, mxfp8:e5m2:away");
  for (const std::string count : {"0", "-1", "", "x", "6 4", "64x", "1048577", "99999999999999999999"})
    CHECK_THROWS_WITH(weight("int4:g" + count),
                      error("int4:g" + count) + "a group has 1 to 1048576 elements, not '" + count + "'");
  CHECK_THROWS_WITH(weight("int4:g64:tensor"), error("int4:g64:tensor") + "granularity is said twice");
  CHECK_THROWS_WITH(weight("int4+affine+symmetric"),
                    error("int4+affine+symmetric") + "affine or symmetric is said twice");
  CHECK_THROWS_WITH(weight("int4+narrow+narrow"), error("int4+narrow+narrow") + "narrow is said twice");
  CHECK_THROWS_WITH(weight("int4+mse+minmax"), error("int4+mse+minmax") + "range is said twice");
  CHECK_THROWS_WITH(weight("int4+affine+narrow"), error("int4+affine+narrow") + "narrow needs symmetric");
  CHECK_THROWS_WITH(weight("float+affine"), error("float+affine") + "float has no granularity and no modifiers");
  CHECK_THROWS_WITH(weight("int4+percentilex"),
                    error("int4+percentilex") + "'percentilex' has no number of per cent, as in percentile99.9");
  for (const std::string percentile : {"0", "49.9", "100.1", "nan", "inf", "-99"})
    CHECK_THROWS_WITH(weight("int4+percentile" + percentile),
                      error("int4+percentile" + percentile) + "the percentile must be 50 to 100");
}

TEST_CASE("activations are cut into channels or tokens, and may keep outlier channels in float") {
  for (const std::string label :
       {"int8:channel", "int4:token", "int8+outliers1", "int6:token+outliers0.5", "int4:token+symmetric+narrow"}) {
    const Choice choice = activation(label);
    CHECK(choice.label == label);
    CHECK(choice.activation);
    CHECK_FALSE(choice.is_prepared());
  }
  CHECK(activation("int4:token+outliers2").granularity.kind == Granularity::Kind::token);
  CHECK(activation("int4:token+outliers2").outliers == 2);
  CHECK_FALSE(weight("int8").activation);
  CHECK_FALSE(activation("int8:channel+symmetric") == weight("int8"));
  ChoiceDefaults tokens = kActivations;
  tokens.granularity.kind = Granularity::Kind::token;
  CHECK(parse_choice("int8", tokens, kActivations).label == "int8:token");
  CHECK(parse_choice("int8:tensor", tokens, kActivations).label == "int8");
}

TEST_CASE("activations have the range of their observer or their own: other words are errors") {
  const std::string groups = "activations have granularity tensor, channel or token";
  CHECK_THROWS_WITH(activation("int8:g32"), "'int8:g32' is not a choice: " + groups);
  CHECK_THROWS_WITH(activation("int8:channel+outliers1"),
                    "'int8:channel+outliers1' is not a choice: outliers are for granularity tensor and token: each "
                    "channel has a scale of its own");
  CHECK_THROWS_WITH(
      activation("int8:token+mse"),
      "'int8:token+mse' is not a choice: a token's range is that of its own values, without a range method");
  CHECK_THROWS_WITH(activation("int8:token+bias"),
                    "'int8:token+bias' is not a choice: gain, rounding, refit, awq and bias are for weights");
  CHECK_THROWS_WITH(weight("int8:token"), "'int8:token' is not a choice: granularity token is for activations");
  CHECK_THROWS_WITH(activation("int8+minmax"),
                    "'int8+minmax' is not a choice: the observer finds the range of activations");
}

TEST_CASE("every range method can be said in text and in YAML") {
  for (const auto& entry : range_methods()) {
    CHECK(weight("int4+" + std::string(entry.name)).range == entry.method);
    CHECK(from_yaml("{format: int4, range: " + std::string(entry.name) + "}").range == entry.method);
    CHECK_FALSE(entry.summary.empty());
  }
}

TEST_CASE("a choice in YAML is its text or a map") {
  CHECK(from_yaml("int3:g64") == weight("int3:g64"));
  CHECK(from_yaml("{format: float}") == weight("float"));
  CHECK(from_yaml("{format: int4, granularity: group:64, range: minmax, symmetric: false}") ==
        weight("int4:g64+affine+minmax"));
  CHECK(from_yaml("{format: int4, granularity: tensor, narrow: true}") == weight("int4:tensor+narrow"));
  CHECK(from_yaml("{format: int4, range: percentile, percentile: 99.9}") == weight("int4+percentile99.9"));
  CHECK(from_yaml("{format: 'fp8:e5m2', granularity: group:64}") == weight("fp8:e5m2:g64"));
  CHECK(from_yaml("{format: int4, range: lp, norm: 3, gain: true}") == weight("int4+lp3+gain"));
  CHECK(from_yaml("{format: vsint4, scale_bits: 6}") == weight("vsint4+scale6"));
  CHECK_THROWS_WITH(from_yaml("{format: int4, norm: 3}"), "t.yaml:1:9: choice: norm needs range lp");
  ChoiceDefaults defaults = kWeights;
  defaults.narrow = true;
  CHECK(from_yaml("{format: int4, narrow: false}", defaults, kWeights) == weight("int4"));
}

TEST_CASE("a wrong choice in YAML is an error with its place") {
  CHECK_THROWS_WITH(from_yaml("int9"),
                    Catch::Matchers::StartsWith("t.yaml:1:9: choice: 'int9' is not a choice; known: float, int1, "));
  CHECK_THROWS_WITH(from_yaml("int4+hq"),
                    Catch::Matchers::StartsWith("t.yaml:1:9: choice: 'int4+hq' is not a choice: "));
  CHECK_THROWS_WITH(from_yaml("{format: int9}"),
                    Catch::Matchers::StartsWith("t.yaml:1:18: choice.format: 'int9' is not a format; known: float, "));
  CHECK_THROWS_WITH(
      from_yaml("{format: int4, granularity: row}"),
      "t.yaml:1:37: choice.granularity: 'row' is not a granularity; known: tensor, channel, token, group:N");
  CHECK_THROWS_WITH(from_yaml("{format: int4, granularity: group:0}"),
                    "t.yaml:1:37: choice.granularity: a group has 1 to 1048576 elements, not '0'");
  CHECK_THROWS_WITH(
      from_yaml("{format: int4, range: max}"),
      "t.yaml:1:31: choice.range: 'max' is not a range method; known: absmax, minmax, percentile, mse, grid, "
      "lp, wmse, octav, halfstep, noclip, pow2, pow2_mse, fit, output");
  CHECK_THROWS_WITH(from_yaml("{format: int4, percentile: 99}"),
                    "t.yaml:1:9: choice: percentile needs range percentile");
  CHECK_THROWS_WITH(from_yaml("{format: int4, symmetric: false, narrow: true}"),
                    "t.yaml:1:9: choice: narrow needs symmetric");
  CHECK_THROWS_WITH(from_yaml("{format: float, symmetric: false}"),
                    "t.yaml:1:9: choice: float has no granularity and no modifiers");
  CHECK_THROWS_WITH(from_yaml("{formt: int4}"), Catch::Matchers::Contains("choice.formt: is not a known key"));
  CHECK_THROWS_WITH(from_yaml("{format: int4, percentile: 20, range: percentile}"),
                    Catch::Matchers::Contains("choice.percentile: must be from 50 to 100"));
  CHECK_THROWS_AS(from_yaml("[int4]"), InputError);
}

TEST_CASE("the defaults of an experiment are read from a map of its choices") {
  const auto read = [](const std::string& text, const ChoiceDefaults& defaults) {
    return read_choice_defaults(Yaml::parse_text(text, "t.yaml"), defaults);
  };
  const ChoiceDefaults w =
      read("{choices: [int4], granularity: group:32, range: percentile, percentile: 99, narrow: true}", kWeights);
  CHECK(w.granularity == Granularity{Granularity::Kind::group, 32});
  CHECK(w.range == RangeMethod::percentile);
  CHECK(w.percentile == 99);
  CHECK(w.narrow);
  CHECK(w.symmetric);
  CHECK(read("{granularity: tensor, symmetric: true}", kActivations).symmetric);
  CHECK(read("{granularity: token}", kActivations).granularity.kind == Granularity::Kind::token);
  CHECK_THROWS_WITH(read("{granularity: group:8}", kActivations),
                    "t.yaml:1:15: granularity: activations have granularity tensor, channel or token");
  CHECK_THROWS_WITH(read("{granularity: token}", kWeights),
                    "t.yaml:1:15: granularity: granularity token is for activations");
  CHECK_THROWS_WITH(read("{range: mse}", kActivations),
                    "t.yaml:1:9: range: the observer finds the range of activations");
  CHECK_THROWS_WITH(read("{symmetric: false, narrow: true}", kWeights), "t.yaml:1:28: narrow: narrow needs symmetric");
}

TEST_CASE("a choice table has float in row 0 and each choice once") {
  ChoiceTable table;
  CHECK(table.size() == 1);
  CHECK(table[kFloat].is_float);
  CHECK(table.add(weight("float")) == kFloat);
  CHECK(table.add(activation("float")) == kFloat);
  const ChoiceId int4 = table.add(weight("int4"));
  CHECK(table.add(weight("int4:channel")) == int4);
  CHECK(table.add(weight("int8")) == int4 + 1);
  CHECK(table[int4].label == "int4");
}

TEST_CASE("int8 of weights and int8 of activations are two rows of a choice table") {
  ChoiceTable table;
  const ChoiceId w = table.add(weight("int8")), a = table.add(activation("int8"));
  CHECK(w != a);
  CHECK(table[w].symmetric);
  CHECK_FALSE(table[a].symmetric);
  CHECK(table.add(activation("int8")) == a);
}
