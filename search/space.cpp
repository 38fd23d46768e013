#include "search/space.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/error.hpp"
#include "core/yaml_difference.hpp"
#include "search/space_settings.hpp"

namespace bitplan {

Space::Space(std::vector<Variable> variables, std::size_t sites)
    : variables_(std::move(variables)), sites_(sites), variable_of_site_(sites, -1) {
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    assert(!variables_[v].options.empty() && variables_[v].options.size() <= 256);
    for (const SiteId site : variables_[v].sites)
      variable_of_site_[static_cast<std::size_t>(site)] = static_cast<int>(v);
  }
}

Assignment Space::assignment(const Point& point) const {
  assert(point.size() == variables_.size());
  Assignment assignment = all_float();
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    assert(point[v] < variables_[v].options.size());
    for (const SiteId site : variables_[v].sites)
      assignment[static_cast<std::size_t>(site)] = variables_[v].options[point[v]];
  }
  return assignment;
}

std::optional<Point> Space::point(const Assignment& assignment) const {
  if (assignment.size() != sites_) return std::nullopt;
  Point point;
  for (const Variable& variable : variables_) {
    const ChoiceId choice = assignment[static_cast<std::size_t>(variable.sites.front())];
    const auto option = std::find(variable.options.begin(), variable.options.end(), choice);
    if (option == variable.options.end()) return std::nullopt;
    for (const SiteId site : variable.sites)
      if (assignment[static_cast<std::size_t>(site)] != choice) return std::nullopt;
    point.push_back(static_cast<std::uint8_t>(option - variable.options.begin()));
  }
  for (std::size_t s = 0; s < sites_; ++s)
    if (variable_of_site_[s] < 0 && assignment[s] != kFloat) return std::nullopt;
  return point;
}

double Space::log10_size() const {
  double sum = 0;
  for (const Variable& variable : variables_) sum += std::log10(static_cast<double>(variable.options.size()));
  return sum;
}

namespace {

[[noreturn]] void fail_equal(const Yaml& item, const Yaml& earlier, const Choice& choice) {
  const std::string text = inline_text(item), first = inline_text(earlier);
  if (text == first) item.fail("'" + text + "' stands here for the second time");
  item.fail("'" + text + "' is the same choice as '" + first + "' before it: both are " + choice.label);
}

std::vector<Choice> read_choices(const Yaml& list, const ChoiceDefaults& defaults, const ChoiceDefaults& of_kind) {
  std::vector<Choice> choices;
  const auto items = list.items();
  for (const Yaml& item : items) {
    const Choice choice = read_choice(item, defaults, of_kind);
    const auto same = std::find(choices.begin(), choices.end(), choice);
    if (same != choices.end()) fail_equal(item, items[static_cast<std::size_t>(same - choices.begin())], choice);
    choices.push_back(choice);
  }
  if (choices.empty()) list.fail("must name at least one choice");
  return choices;
}

void read_weights(const Yaml& node, SpaceSpec& spec) {
  node.only(
      {"choices", "granularity", "range", "percentile", "symmetric", "narrow", "rounding", "refit", "compensation"});
  ChoiceDefaults defaults = ChoiceDefaults::weights();
  defaults.tuned = true;
  spec.weight_defaults = read_choice_defaults(node, defaults);
  spec.weight_choices = read_choices(node.at("choices"), spec.weight_defaults, ChoiceDefaults::weights());
}

/// `observer`, and the settings that it reads: another's is an error.
ObserverSpec read_observer(const Yaml& node) {
  ObserverSpec spec;
  if (const auto name = node.find("observer")) {
    spec.name = name->text();
    try {
      find_observer(spec.name);
    } catch (const InputError& error) {
      name->fail(error.what());
    }
  }
  const ObserverEntry& observer = find_observer(spec.name);
  const auto read = [&](const char* key, bool ObserverEntry::*takes, double low, double high, double& value) {
    const auto setting = node.find(key);
    if (!setting) return;
    if (!(observer.*takes)) setting->fail("is read only with observer: " + observers_that(takes));
    value = setting->number_in(low, high);
  };
  read("percentile", &ObserverEntry::takes_percentile, 50, 100, spec.percentile);
  read("momentum", &ObserverEntry::takes_momentum, 0, 1, spec.momentum);
  return spec;
}

void read_activations(const Yaml& node, SpaceSpec& spec) {
  node.only({"choices", "granularity", "observer", "percentile", "momentum", "symmetric", "narrow", "attention"});
  if (const auto attention = node.find("attention")) spec.attention = attention->boolean();
  spec.observer = read_observer(node);
  auto& defaults = spec.activation_defaults;
  if (const auto granularity = node.find("granularity")) {
    defaults.granularity = read_granularity(*granularity);
    if (defaults.granularity.kind == Granularity::Kind::group)
      granularity->fail("activations have granularity tensor, channel or token, is '" + granularity->text() + "'");
  }
  if (const auto symmetric = node.find("symmetric")) defaults.symmetric = symmetric->boolean();
  if (const auto narrow = node.find("narrow")) {
    defaults.narrow = narrow->boolean();
    if (defaults.narrow && !defaults.symmetric) narrow->fail("narrow needs symmetric: true");
  }
  spec.activation_choices = read_choices(node.at("choices"), defaults, ChoiceDefaults::activations());
}

SpaceRule read_rule(const Yaml& node, const SpaceSpec& spec) {
  node.only({"match", "weights", "activations"});
  const Yaml match = node.at("match");
  SpaceRule rule{node, match.is_list() ? match.items() : std::vector{match}, {}, {}};
  if (rule.match.empty()) match.fail("must name at least one pattern");
  if (const auto list = node.find("weights"))
    rule.weights = read_choices(*list, spec.weight_defaults, ChoiceDefaults::weights());
  if (const auto list = node.find("activations"))
    rule.activations = read_choices(*list, spec.activation_defaults, ChoiceDefaults::activations());
  if (!rule.weights && !rule.activations) node.fail("sets neither weights nor activations");
  return rule;
}

/// `percentile` of the weights changes nothing unless some choice has that range.
void check_percentile(const SpaceSpec& spec) {
  const auto weights = spec.node.find("weights");
  if (!weights || !weights->find("percentile")) return;
  const auto reads_it = [](const std::vector<Choice>& choices) {
    return std::any_of(choices.begin(), choices.end(),
                       [](const Choice& c) { return c.range == RangeMethod::percentile; });
  };
  const bool read = reads_it(spec.weight_choices) ||
                    std::any_of(spec.rules.begin(), spec.rules.end(),
                                [&](const auto& rule) { return rule.weights && reads_it(*rule.weights); });
  if (!read) weights->at("percentile").fail("is read only with range: percentile");
}

/// Tokens have ranges of their own: beside them `observer` may have nothing to do.
void check_observer(const SpaceSpec& spec) {
  const auto activations = spec.node.find("activations");
  if (!activations || !activations->find("observer")) return;
  std::vector<Choice> choices = spec.activation_choices;
  for (const SpaceRule& rule : spec.rules)
    if (rule.activations) choices.insert(choices.end(), rule.activations->begin(), rule.activations->end());
  std::erase_if(choices, [](const Choice& c) { return c.is_float; });
  const bool tokens = std::all_of(choices.begin(), choices.end(),
                                  [](const Choice& c) { return c.granularity.kind == Granularity::Kind::token; });
  if (!choices.empty() && tokens)
    activations->at("observer").fail("has no effect: a token's range is that of its own values");
}

}  // namespace

SpaceSpec SpaceSpec::from(const Yaml& node) {
  node.only({"weights", "activations", "rules", "ties", "graph_ties"});
  SpaceSpec spec{node, ChoiceDefaults::weights(), ChoiceDefaults::activations(), {}, {}, {}, {}, {}, true};
  const auto weights = node.find("weights"), activations = node.find("activations");
  if (!weights && !activations) node.fail("needs weights, activations or both");
  if (weights)
    read_weights(*weights, spec);
  else
    spec.weight_choices = {parse_choice("float", {}, {})};
  if (activations)
    read_activations(*activations, spec);
  else
    spec.activation_choices = {parse_choice("float", {}, {})};
  if (const auto rules = node.find("rules"))
    for (const Yaml& rule : rules->items()) spec.rules.push_back(read_rule(rule, spec));
  if (const auto ties = node.find("ties")) spec.ties = ties->items();
  if (const auto graph_ties = node.find("graph_ties")) spec.graph_ties = graph_ties->boolean();
  check_percentile(spec);
  check_observer(spec);
  check_settings(spec);
  return spec;
}

}  // namespace bitplan
