#include "search/space.hpp"

#include <cmath>

#include "core/error.hpp"
#include "search/name_match.hpp"
#include "tests/catch.hpp"
#include "tests/fixtures.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;

namespace {

using Strings = std::vector<std::string>;

SpaceSpec spec_of(const std::string& text) { return SpaceSpec::from(Yaml::parse_text(text, "exp.yaml")); }

const std::string kBoth = "weights: {choices: [int8, int2, int4], range: mse}\nactivations: {choices: [int8, int4]}\n";

struct Built {
  ChoiceTable table;
  Space space;
  explicit Built(const std::string& text, const Network& network = test::small_network(3))
      : space(make_space(spec_of(text), network, table)) {}

  Strings labels(std::size_t variable) const {
    Strings found;
    for (const ChoiceId id : space.variables()[variable].options) found.push_back(table[id].label);
    return found;
  }
  Strings names() const {
    Strings found;
    for (const Variable& v : space.variables()) found.push_back(v.name);
    return found;
  }
};

/// Two blocks of three layers named like attention: block.<b>.q, k, v.
Network attention() {
  Network net = test::small_network(6);
  for (LayerId l = 0; l < 6; ++l) {
    const std::string name = "block." + std::to_string(l / 3) + "." + std::string(1, "qkv"[l % 3]) + "_proj";
    Layer& layer = net.layers[static_cast<std::size_t>(l)];
    layer.names.module = name;
    net.sites[static_cast<std::size_t>(l)].name = name + ".weight";
  }
  return net;
}

}  // namespace

TEST_CASE("a glob matches the whole text and says what its wildcards stand for") {
  CHECK(match_glob("conv1", "conv1") == Strings{});
  CHECK_FALSE(match_glob("conv1", "conv1.weight"));
  CHECK_FALSE(match_glob("conv", "con"));
  CHECK(match_glob("*", "") == Strings{""});
  CHECK(match_glob("*.q_proj", "layers.3.q_proj") == Strings{"layers.3"});
  CHECK(match_glob("layer?.*.conv*", "layer3.0.conv12") == Strings{"3", "0", "12"});
  CHECK(match_glob("a*b*c", "aXbbYc") == Strings{"X", "bY"});
  CHECK(match_glob("*a*", "banana") == Strings{"b", "nana"});
  CHECK_FALSE(match_glob("*.x", "a.y"));
  CHECK_FALSE(match_glob("?", ""));
  CHECK(match_glob("a**", "ab") == Strings{"", "b"});
}

TEST_CASE("a glob of many stars on a long text ends at once") {
  std::string pattern, text(5000, 'a');
  for (int i = 0; i < 50; ++i) pattern += "a*";
  CHECK_FALSE(match_glob(pattern + "b", text));
  CHECK(match_glob(pattern, text));
}

TEST_CASE("each site is a variable with the choices of its side, fewest bits first") {
  const Built built(kBoth);
  CHECK(built.names() == Strings{"conv0.weight", "conv1.weight", "conv2.weight", "x", "relu0", "relu1"});
  for (std::size_t v = 0; v < 3; ++v) CHECK(built.labels(v) == Strings{"int2", "int4", "int8"});
  for (std::size_t v = 3; v < 6; ++v) CHECK(built.labels(v) == Strings{"int4", "int8"});
  CHECK(built.space.variables()[1].elements == 288);
  CHECK(built.space.variables()[4].elements == 64);
  CHECK(built.space.variables()[4].kind == Site::Kind::activation);
  CHECK(built.space.log10_size() == Approx(std::log10(27.0 * 8.0)));
}

TEST_CASE("weight options are ordered by what they store, scales included") {
  // conv0 has 27 weights a channel: int4 in groups of 3 stores 4 + 32 / 3 bits a weight, more than int8 a channel
  const Built built("weights: {choices: [\"int4:g3\", int8, int4, float], range: mse}\n");
  CHECK(built.labels(0) == Strings{"int4", "int8", "int4:g3", "float"});
}

TEST_CASE("a side that is left out stays float") {
  const Built weights("weights: {choices: [int4], range: mse}\n");
  CHECK(weights.labels(0) == Strings{"int4"});
  CHECK(weights.labels(3) == Strings{"float"});
  const Built activations("activations: {choices: [int8]}\n");
  CHECK(activations.labels(0) == Strings{"float"});
  CHECK(activations.labels(3) == Strings{"int8"});
}

TEST_CASE("points and assignments are each other's inverse") {
  const Built built(kBoth + "ties: [[conv0, conv2]]\n");
  const std::size_t n = built.space.variables().size();
  REQUIRE(n == 5);
  Point point(n, 0);
  int points = 0;
  for (bool more = true; more;) {
    const Assignment assignment = built.space.assignment(point);
    CHECK(assignment.size() == 6);
    CHECK(assignment[0] == assignment[2]);
    CHECK(built.space.point(assignment) == point);
    ++points;
    more = false;
    for (std::size_t v = 0; v < n && !more; ++v)
      if (point[v] + std::size_t{1} < built.space.variables()[v].options.size())
        ++point[v], more = true;
      else
        point[v] = 0;
  }
  CHECK(points == 9 * 8);
}

TEST_CASE("an assignment with a choice that is not offered or a broken tie is outside the space") {
  const Built built(kBoth + "ties: [[conv0, conv2]]\n");
  const Assignment inside = built.space.assignment(Point(5, 0));
  Assignment broken = inside;
  broken[2] = built.space.variables()[0].options[1];
  CHECK_FALSE(built.space.point(broken));
  Assignment unknown = inside;
  unknown[1] = kFloat;
  CHECK_FALSE(built.space.point(unknown));
  CHECK_FALSE(built.space.point(built.space.all_float()));
  CHECK_FALSE(built.space.point({}));
  CHECK(built.space.all_float() == Assignment(6, kFloat));
}

TEST_CASE("sites that no variable holds stay float") {
  const Space space({{"w", Site::Kind::weight, {0}, {1, 2}, 10}}, 3);
  CHECK(space.assignment({1}) == Assignment{2, kFloat, kFloat});
  CHECK(space.point({2, kFloat, kFloat}) == Point{1});
  CHECK_FALSE(space.point({2, 1, kFloat}));
}

TEST_CASE("of the rules that match a site the first one counts") {
  const Built built(
      kBoth + "rules:\n  - {match: [first, last], weights: [int8]}\n  - {match: \"conv*\", weights: [int4, int8]}\n");
  CHECK(built.labels(0) == Strings{"int8"});
  CHECK(built.labels(1) == Strings{"int4", "int8"});
  CHECK(built.labels(2) == Strings{"int8"});
  CHECK(built.labels(3) == Strings{"int4", "int8"});
}

TEST_CASE("weights and activations are decided by the first rule that names that side") {
  const Built built(
      kBoth +
      "rules:\n  - {match: conv1, activations: [int8]}\n  - {match: conv1, weights: [int2], activations: [int4]}\n");
  CHECK(built.labels(1) == Strings{"int2"});
  CHECK(built.labels(4) == Strings{"int8"});
}

TEST_CASE("an activation takes the first rule that matches one of its readers or itself") {
  Network net = test::small_network(3);
  // conv2 reads relu0, as conv1 does
  net.layers[2].input = net.layers[1].input;
  net.sites[4].layers = {1, 2};
  net.sites.pop_back();
  net.input_site[2] = 4;
  const std::string rules =
      "rules:\n  - {match: conv2, activations: [int8]}\n  - {match: conv1, activations: [int4]}\n";
  CHECK(Built(kBoth + rules, net).labels(4) == Strings{"int8"});
  CHECK(Built(kBoth + "rules: [{match: relu0, activations: [int4]}]\n", net).labels(4) == Strings{"int4"});
}

TEST_CASE("rules match modules, nodes, weight tensors and activation tensors") {
  Network net = test::small_network(3);
  net.layers[0].names.module = "stem.conv";
  net.nodes[static_cast<std::size_t>(net.layers[1].node)].name = "/layer/Conv";
  net.layers[1].names.node = "/layer/Conv";
  for (const std::string pattern : {"stem.*", "stem.conv", "conv0.weight", "first"})
    CHECK(Built(kBoth + "rules: [{match: \"" + pattern + "\", weights: [int8]}]\n", net).labels(0) == Strings{"int8"});
  CHECK(Built(kBoth + "rules: [{match: \"/layer/*\", weights: [int8]}]\n", net).labels(1) == Strings{"int8"});
  CHECK(Built(kBoth + "rules: [{match: \"relu?\", activations: [int8]}]\n", net).labels(5) == Strings{"int8"});
}

TEST_CASE("depthwise and embedding are words for kinds of layers") {
  Network net = test::small_network(3);
  net.layers[1].groups = 8;
  net.layers[1].weight_shape = {8, 1, 3, 3};
  net.layers[2].groups = 2;  // grouped, not depthwise
  const Built depthwise(kBoth + "rules: [{match: depthwise, weights: [int8]}]\n", net);
  CHECK(depthwise.labels(1) == Strings{"int8"});
  CHECK(depthwise.labels(2) == Strings{"int2", "int4", "int8"});

  net.layers[0].op = "Gather";
  net.input_site[0] = -1;
  const Built embedding(kBoth + "rules: [{match: embedding, weights: [int8]}]\n", net);
  CHECK(embedding.labels(0) == Strings{"int8"});
  CHECK_THROWS_WITH(Built(kBoth + "rules: [{match: embedding, activations: [int8]}]\n", net),
                    Contains("'embedding' matches no activation"));
}

TEST_CASE("a rule that matches nothing is an error at its place") {
  const auto fails = [](const std::string& rules, const std::string& message) {
    CHECK_THROWS_WITH(Built(kBoth + rules), Contains(message));
  };
  fails("rules:\n  - {match: \"layer9.*\", weights: [int8]}\n",
        "exp.yaml:4:13: rules[0].match: 'layer9.*' matches no layer");
  fails("rules:\n  - {match: [first, covn1], weights: [int8]}\n",
        "exp.yaml:4:21: rules[0].match[1]: 'covn1' matches no layer (did you mean 'conv1'?)");
  fails("rules: [{match: relu0, weights: [int8]}]\n", "'relu0' matches no layer");
  fails("rules: [{match: depthwise, weights: [int8]}]\n", "'depthwise' matches no layer");
  fails("rules: [{match: zz, weights: [int8], activations: [int8]}]\n", "'zz' matches no layer and no activation");
  fails("rules: [{match: conv0}]\n", "exp.yaml:3:9: rules[0]: sets neither weights nor activations");
  fails("rules: [{match: [], weights: [int8]}]\n", "rules[0].match: must name at least one pattern");
  fails("rules: [{match: conv0, weight: [int8]}]\n", "rules[0].weight: is not a known key; did you mean 'weights'?");
  fails("rules: [{weights: [int8]}]\n", "rules[0]: the key 'match' is missing");
  fails("rules: [{match: conv0, weights: []}]\n", "rules[0].weights: must name at least one choice");
  fails("rules: [{match: conv0, weights: [int9]}]\n", "rules[0].weights[0]: 'int9' is not a choice; known: ");
}

TEST_CASE("wildcards of a tie must stand for the same text, so that each block is tied by itself") {
  const Built built(kBoth + "ties: [[\"*.q_proj\", \"*.k_proj\", \"*.v_proj\"]]\n", attention());
  CHECK(built.space.variables()[0].sites == std::vector<SiteId>{0, 1, 2});
  CHECK(built.space.variables()[1].sites == std::vector<SiteId>{3, 4, 5});
  CHECK(built.names()[0] == "block.0.q_proj.weight (+2)");
  CHECK(built.space.variables()[0].elements == 108 + 288 + 864);
}

TEST_CASE("patterns without wildcards tie all that they match, weights and activations apart") {
  const Built built(kBoth + "ties: [[conv0, conv1, relu0, relu1]]\n");
  CHECK(built.space.variables()[0].sites == std::vector<SiteId>{0, 1});
  CHECK(built.space.variables()[1].sites == std::vector<SiteId>{2});
  CHECK(built.space.variables()[3].sites == std::vector<SiteId>{4, 5});
  CHECK(built.space.variables().size() == 4);
}

TEST_CASE("ties that share a site become one") {
  const Built built(kBoth + "ties: [[conv1, conv2], [conv0, conv2]]\n");
  CHECK(built.space.variables()[0].sites == std::vector<SiteId>{0, 1, 2});
}

TEST_CASE("tied sites take the first rule that matches any of them") {
  const Built built(
      kBoth + "ties: [[conv0, conv2]]\nrules: [{match: conv2, weights: [int8]}, {match: conv0, weights: [int2]}]\n");
  CHECK(built.labels(0) == Strings{"int8"});
}

TEST_CASE("ties of the graph hold unless graph_ties is false") {
  Network net = test::small_network(3);
  net.ties = {{1, 2}};
  CHECK(Built(kBoth, net).space.variables()[1].sites == std::vector<SiteId>{1, 2});
  CHECK(Built(kBoth + "graph_ties: false\n", net).space.variables().size() == 6);
}

TEST_CASE("operands of attention products are asked for under activations") {
  CHECK_FALSE(spec_of("activations: {choices: [int8]}").attention);
  CHECK(spec_of("activations: {choices: [int8], attention: true}").attention);
  CHECK_THROWS_WITH(spec_of("activations: {choices: [int8], attention: 3}"),
                    Contains("activations.attention: must be true or false, is '3'"));
}

TEST_CASE("a tie that joins nothing is an error at its place") {
  CHECK_THROWS_WITH(
      Built(kBoth + "ties: [[\"conv*\"]]\n"),
      Contains("exp.yaml:3:8: ties[0]: ties nothing: sites are tied where * and ? stand for the same text"));
  CHECK_THROWS_WITH(Built(kBoth + "ties: [[conv0, conv8]]\n"),
                    Contains("ties[0][1]: 'conv8' matches no layer and no activation (did you mean 'conv"));
  CHECK_THROWS_WITH(Built(kBoth + "ties: [conv0]\n"), Contains("ties[0]: must be a list"));
}

TEST_CASE("a setting that no choice takes is an error with the formats that would take it") {
  const auto fails = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(spec_of(text), Contains(message));
  };
  const std::string integers = "int1, int2, int3, int4, int5, int6, int7, int8";
  const std::string own = ": it is for choices that do not say their own, of ";
  fails("weights: {choices: [mxfp4, nf4, float], rounding: adaround}\n",
        "exp.yaml:1:51: weights.rounding: has no effect on mxfp4, nf4" + own + integers);
  fails("weights: {choices: [int4+gptq], rounding: adaround}\n", "weights.rounding: has no effect on int4+gptq");
  fails("weights: {choices: [{format: int4, range: absmax}, nf4], range: mse}\n",
        "weights.range: has no effect on {format: int4, range: absmax}, nf4" + own + integers + ", int16");
  fails("weights: {choices: [int4], rounding: hqq, range: mse}\n",
        "weights.range: has no effect on int4" + own + "int16");
  fails("weights: {choices: [int4+percentile99], range: percentile, percentile: 98}\n",
        "weights.percentile: has no effect on int4+percentile99");
  fails("weights: {choices: [int4+percentile99, nf4], percentile: 98}\n", "weights.percentile: has no effect on ");
  fails("weights: {choices: [mxfp4, int1], symmetric: true}\n",
        "weights.symmetric: has no effect on mxfp4, int1" + own + "int2, int3, int4, int5, int6, int7, int8");
  fails("weights: {choices: [int4+affine, nf4], symmetric: true, narrow: true, range: mse}\n",
        "weights.symmetric: has no effect on int4+affine, nf4");
  fails("weights: {choices: [nf4, int16], refit: true}\n",
        "weights.refit: has no effect on nf4, int16" + own + integers);
  fails("weights: {choices: [nf4+bias], compensation: analytic}\n", "weights.compensation: has no effect on nf4+bias");
  fails("activations: {choices: [int8+affine], symmetric: true}\n",
        "activations.symmetric: has no effect on int8+affine" + own);
}

TEST_CASE("a setting that a rule's choice takes, or that asks for nothing, is no error") {
  CHECK_NOTHROW(spec_of("weights: {choices: [nf4], rounding: adaround}\nrules: [{match: a, weights: [int4]}]\n"));
  CHECK_NOTHROW(spec_of("activations: {choices: [int8+affine], symmetric: true}\n"
                        "rules: [{match: a, activations: [int4]}]\n"));
  CHECK_NOTHROW(
      spec_of("weights: {choices: [nf4], rounding: nearest, refit: false, narrow: false, compensation: none}\n"));
  CHECK_NOTHROW(spec_of("weights: {choices: [float], range: mse, rounding: adaround, symmetric: false}\n"));
  CHECK_NOTHROW(
      spec_of("weights: {choices: [int4, nf4], range: absmax, symmetric: true, narrow: true, refit: true}\n"));
  CHECK_NOTHROW(spec_of("weights: {choices: [nf4], rounding: gptq, compensation: bias}\n"));
  // Nor one that choices have by themselves.
  CHECK_NOTHROW(spec_of("weights: {choices: [int4+gptq+bias, int8+gptq+bias], rounding: gptq, compensation: bias}\n"));
  // A choice that could not be read under another value takes the setting, too.
  CHECK_NOTHROW(spec_of("weights: {choices: [int4+narrow], symmetric: true}\n"));
}

TEST_CASE("the space is read strictly, each error at its place") {
  const auto fails = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(spec_of(text), Contains(message));
  };
  fails("rules: []\n", "needs weights, activations or both");
  fails("weights: {choices: [int4]}\nwieghts: {}\n",
        "exp.yaml:2:1: wieghts: is not a known key; did you mean 'weights'?");
  fails("weights: {}\n", "weights: the key 'choices' is missing");
  fails("weights: {choices: []}\n", "exp.yaml:1:20: weights.choices: must name at least one choice");
  fails("weights: {choices: [int4, int8, int4]}\n",
        "exp.yaml:1:33: weights.choices[2]: 'int4' stands here for the second time");
  fails("weights: {choices: [int4, int8, {format: int4, tuned: true}]}\n",
        "weights.choices[2]: '{format: int4, tuned: true}' is the same choice as 'int4' before it: both are int4+tuned");
  fails("weights: {choices: [int8], range: mse}\nrules: [{match: conv0, weights: [int4, int4+mse]}]\n",
        "rules[0].weights[1]: 'int4+mse' is the same choice as 'int4' before it: both are int4");
  fails("weights: {choices: [int4, int9]}\n", "exp.yaml:1:27: weights.choices[1]: 'int9' is not a choice; known: ");
  fails("weights: {choices: int4}\n", "weights.choices: must be a list");
  fails("weights: {choices: [int4], rounding: adarond}\n", "weights.rounding: 'adarond' is not a rounding; known: nearest, ");
  fails("weights: {choices: [int4, nf4], granularity: tensor, refit: true}\n", "weights.refit: has no effect");
  fails("weights: {choices: [int4], compensation: gptq}\n",
        "weights.compensation: 'gptq' is not a compensation; known: none, bias, analytic");
  fails("weights: {choices: [int4], granularity: row}\n", "weights.granularity: 'row' is not a granularity");
  fails("weights: {choices: [int4], range: max}\n", "weights.range: 'max' is not a range method");
  fails("weights: {choices: [int4], percentile: 99}\n", "weights.percentile: is read only with range: percentile");
  fails("weights: {choices: [int4], observer: mse}\n", "weights.observer: is not a known key");
  fails("activations: {choices: [int4], granularity: \"group:8\"}\n",
        "exp.yaml:1:45: activations.granularity: activations have granularity tensor, channel or token, is 'group:8'");
  fails("weights: {choices: [int4], granularity: token}\n", "weights.granularity: granularity token is for activations");
  fails("activations: {choices: [int4, float], granularity: token, observer: mse}\n",
        "activations.observer: has no effect: a token's range is that of its own values");
  fails("activations: {choices: [int4], observer: msee}\n", "activations.observer: ");
  fails("activations: {choices: [int4], percentile: 99}\n",
        "activations.percentile: is read only with observer: percentile");
  fails("activations: {choices: [int4], momentum: 0.5}\n",
        "activations.momentum: is read only with observer: moving_average");
  fails("activations: {choices: [int4], observer: percentile, percentile: 101}\n", "must be from 50 to 100, is 101");
  fails("activations: {choices: [int4], narrow: true}\n", "activations.narrow: narrow needs symmetric: true");
  fails("activations: {choices: [\"int4:g64\"]}\n", "activations.choices[0]: ");
  fails("activations: {choices: [int4], range: mse}\n", "activations.range: is not a known key");
  fails("weights: {choices: [int4]}\ngraph_ties: maybe\n", "graph_ties: must be true or false, is 'maybe'");
}

TEST_CASE("settings of a side reach its choices") {
  const auto spec = spec_of(
      "weights: {choices: [int4], granularity: \"group:64\", range: percentile, percentile: 99.5, symmetric: false,\n"
      "          rounding: nearest, compensation: none}\n"
      "activations: {choices: [int8], observer: moving_average, momentum: 0.8, symmetric: true, narrow: true, "
      "granularity: tensor}\n");
  CHECK(spec.weight_choices[0].granularity == Granularity{Granularity::Kind::group, 64});
  CHECK(spec.weight_choices[0].range == RangeMethod::percentile);
  CHECK(spec.weight_choices[0].percentile == 99.5);
  CHECK_FALSE(spec.weight_choices[0].symmetric);
  CHECK(spec.observer.name == "moving_average");
  CHECK(spec.observer.momentum == 0.8);
  CHECK(spec.activation_choices[0].symmetric);
  CHECK(spec.activation_choices[0].narrow);
}

TEST_CASE("an observer of activations has the settings that it reads, and no others") {
  const auto fails = [](const std::string& text, const std::string& message) {
    CHECK_THROWS_WITH(spec_of(text), Contains(message));
  };
  for (const ObserverEntry& observer : observers()) {
    const std::string start = "activations: {choices: [int8], observer: " + std::string(observer.name);
    CHECK(spec_of(start + "}\n").observer.name == observer.name);
    if (observer.takes_percentile)
      CHECK(spec_of(start + ", percentile: 99.5}\n").observer.percentile == 99.5);
    else
      fails(start + ", percentile: 99.5}\n", "percentile: is read only with observer: percentile, percentile:nearest");
    if (observer.takes_momentum)
      CHECK(spec_of(start + ", momentum: 0.5}\n").observer.momentum == 0.5);
    else
      fails(start + ", momentum: 0.5}\n", "momentum: is read only with observer: moving_average, absmax_average");
  }
}

TEST_CASE("a uniform plan is written as bits of weights and activations") {
  const Network net = test::small_network(2);
  const auto spec = spec_of(
      "weights: {choices: [int4], granularity: \"group:16\", range: mse}\nactivations: {choices: [int8], symmetric: true}\n"
      "rules: [{match: first, weights: [int8]}]\n");
  ChoiceTable table;
  const auto labels = [&](const std::string& text) {
    Strings found;
    for (const ChoiceId id : uniform_assignment(text, spec, net, table)) found.push_back(table[id].label);
    return found;
  };
  CHECK(labels("w4a8") == Strings{"int4:g16", "int4:g16", "int8+symmetric", "int8+symmetric"});
  CHECK(labels("w3") == Strings{"int3:g16", "int3:g16", "float", "float"});
  CHECK(labels("w3afloat") == labels("w3"));
  CHECK(labels("a8") == Strings{"float", "float", "int8+symmetric", "int8+symmetric"});
  CHECK(labels("floata8") == labels("a8"));
  CHECK(labels("wfloata8") == labels("a8"));
  CHECK(labels("float") == Strings{"float", "float", "float", "float"});
  CHECK(labels("mxfp4/int8") == Strings{"mxfp4", "mxfp4", "int8+symmetric", "int8+symmetric"});
  CHECK(labels("fp8:e5m2:g32/float") == Strings{"fp8:e5m2:g32", "fp8:e5m2:g32", "float", "float"});
  CHECK_THROWS_WITH(labels("mxfp4/fp8"), Contains("'fp8' is not a choice: activations are integers of 2 to 8 bits"));
  for (const std::string wrong : {"", "4", "w", "wa8", "w4a", "w4b8", "w4a8x", "a8w4", "W4A8", "floatw4", "w4 a8"})
    CHECK_THROWS_WITH(uniform_assignment(wrong, spec, net, table),
                      "'" + wrong +
                          "' is not a uniform plan; write w4a8, w4afloat, floata8, w4, a8, float, or choices as in "
                          "mxfp4/int8");
  CHECK_THROWS_WITH(uniform_assignment("w9a8", spec, net, table), Contains("'w9a8': 'int9' is not a choice; known: "));
}

TEST_CASE("where nothing is said of ranges, roundings and alike, integers of weights take the tuned recipe") {
  CHECK(Built("weights: {choices: [int4, int8, nf4]}\n").labels(0) == Strings{"nf4", "int4+tuned", "int8+tuned"});
  CHECK(Built("weights: {choices: [int4], granularity: \"group:3\"}\n").labels(0) == Strings{"int4:g3+tuned"});
  for (const char* said : {"range: mse", "rounding: nearest", "compensation: none", "symmetric: true", "refit: false"})
    CHECK(Built(std::string("weights: {choices: [int4], ") + said + "}\n").labels(0) == Strings{"int4"});
}
