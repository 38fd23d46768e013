#include <algorithm>
#include <cassert>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "model/site_channels.hpp"
#include "quant/site_quantizer.hpp"
#include "quant/weight_quantizer.hpp"
#include "search/name_match.hpp"
#include "search/space.hpp"

namespace bitplan {
namespace {

/// Sites that are joined, each group named by its lowest site.
class SiteGroups {
 public:
  explicit SiteGroups(std::size_t sites) : parent_(sites) { std::iota(parent_.begin(), parent_.end(), 0); }
  SiteId root(SiteId site) const {
    while (parent_[static_cast<std::size_t>(site)] != site) site = parent_[static_cast<std::size_t>(site)];
    return site;
  }
  void join(SiteId a, SiteId b) {
    const auto [low, high] = std::minmax({root(a), root(b)});
    parent_[static_cast<std::size_t>(high)] = low;
  }

 private:
  std::vector<SiteId> parent_;
};

void fail_unmatched(const Yaml& pattern, const NameMatcher& names, const std::string& what) {
  pattern.fail("'" + pattern.text() + "' matches no " + what + names.suggestion(pattern.text()));
}

/// Joins the sites of one list of `ties`.
void join_tie(const Yaml& list, const Network& network, const NameMatcher& names, SiteGroups& groups) {
  std::map<std::pair<Site::Kind, std::vector<std::string>>, std::set<SiteId>> found;
  const auto patterns = list.items();
  for (const Yaml& pattern : patterns) {
    const auto layers = names.layers(pattern.text()), activations = names.activations(pattern.text());
    if (layers.empty() && activations.empty()) fail_unmatched(pattern, names, "layer and no activation");
    for (const auto& match : layers)
      found[{Site::Kind::weight, match.wildcards}].insert(network.weight_site[static_cast<std::size_t>(match.id)]);
    for (const auto& match : activations) found[{Site::Kind::activation, match.wildcards}].insert(match.id);
  }
  bool joined = false;
  for (const auto& [key, sites] : found) {
    for (const SiteId site : sites) groups.join(*sites.begin(), site);
    joined = joined || sites.size() > 1;
  }
  if (!joined) list.fail("ties nothing: sites are tied where * and ? stand for the same text");
}

/// The sites of a rule: weights and activations by SiteId.
std::set<SiteId> sites_of(const SpaceRule& rule, const Network& network, const NameMatcher& names) {
  std::set<SiteId> sites;
  for (const Yaml& pattern : rule.match) {
    bool matched = false;
    for (const auto& match : names.layers(pattern.text())) {
      const auto layer = static_cast<std::size_t>(match.id);
      const SiteId input = network.input_site[layer];
      sites.insert(network.weight_site[layer]);
      if (input >= 0) sites.insert(input);
      matched = matched || rule.weights.has_value() || input >= 0;
    }
    for (const auto& match : names.activations(pattern.text())) {
      sites.insert(match.id);
      matched = matched || rule.activations.has_value();
    }
    if (!matched)
      fail_unmatched(pattern, names,
                     !rule.activations ? "layer"
                     : !rule.weights   ? "activation"
                                       : "layer and no activation");
  }
  return sites;
}

std::int64_t bits_of(const Network& network, const Variable& variable, const Choice& choice) {
  std::int64_t bits = 0;
  if (variable.kind == Site::Kind::activation) {
    for (const SiteId s : variable.sites) {
      const auto channels = choice.outliers > 0 ? find_site_channels(network, s) : std::nullopt;
      bits += activation_bits(choice, network.site(s).elements, channels ? channels->channels : 1);
    }
    return bits;
  }
  for (const SiteId s : variable.sites) {
    const Layer& layer = network.layer(network.site(s).layers.front());
    bits += stored_bits(WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups), choice);
  }
  return bits;
}

/// Throws InputError where a choice needs channels that the site has not.
void check_channels(const Network& network, SiteId site, const Choice& choice) {
  if (!choice.activation || choice.is_float) return;
  if (choice.granularity.kind == Granularity::Kind::tensor && !(choice.outliers > 0)) return;
  try {
    static_cast<void>(site_channels(network, site));
  } catch (const InputError& error) {
    throw InputError("choice '" + choice.label + "': " + error.what());
  }
}

void set_options(const std::vector<Choice>& choices, const Network& network, ChoiceTable& table, Variable& variable) {
  for (const Choice& choice : choices)
    for (const SiteId site : variable.sites) check_channels(network, site, choice);
  std::set<std::pair<std::int64_t, ChoiceId>> sorted;
  for (const Choice& choice : choices) sorted.emplace(bits_of(network, variable, choice), table.add(choice));
  if (sorted.size() > 256) throw InputError("'" + variable.name + "' has more than 256 choices");
  for (const auto& [bits, id] : sorted) variable.options.push_back(id);
}

SiteGroups tied_sites(const SpaceSpec& spec, const Network& network, const NameMatcher& names) {
  SiteGroups groups(network.sites.size());
  if (spec.graph_ties)
    for (const auto& tie : network.ties)
      for (const SiteId site : tie) {
        assert(network.site(site).kind == network.site(tie.front()).kind);
        groups.join(tie.front(), site);
      }
  for (const Yaml& list : spec.ties) join_tie(list, network, names, groups);
  return groups;
}

/// The variables without options, by their first site.
std::vector<Variable> untyped_variables(const Network& network, const SiteGroups& groups) {
  std::map<SiteId, Variable> by_root;
  for (const Site& site : network.sites) {
    Variable& variable = by_root[groups.root(site.id)];
    if (variable.sites.empty()) variable.name = site.name, variable.kind = site.kind;
    variable.sites.push_back(site.id);
    variable.elements += site.elements;
  }
  std::vector<Variable> variables;
  for (auto& [root, variable] : by_root) {
    if (variable.sites.size() > 1) variable.name += " (+" + std::to_string(variable.sites.size() - 1) + ")";
    variables.push_back(std::move(variable));
  }
  return variables;
}

}  // namespace

Space make_space(const SpaceSpec& spec, const Network& network, ChoiceTable& table) {
  const NameMatcher names(network);
  std::vector<std::set<SiteId>> rule_sites;
  for (const SpaceRule& rule : spec.rules) rule_sites.push_back(sites_of(rule, network, names));

  auto variables = untyped_variables(network, tied_sites(spec, network, names));
  for (Variable& variable : variables) {
    const bool weight = variable.kind == Site::Kind::weight;
    const std::vector<Choice>* choices = weight ? &spec.weight_choices : &spec.activation_choices;
    for (std::size_t r = 0; r < spec.rules.size(); ++r) {
      const auto& set_by_rule = weight ? spec.rules[r].weights : spec.rules[r].activations;
      const bool matches = std::any_of(variable.sites.begin(), variable.sites.end(),
                                       [&](SiteId site) { return rule_sites[r].contains(site); });
      if (!set_by_rule || !matches) continue;
      choices = &*set_by_rule;
      break;
    }
    set_options(*choices, network, table, variable);
  }
  return Space(std::move(variables), network.sites.size());
}

namespace {

/// Takes "w4", "wfloat" or (when `bare_float`) "float" from the front: what stands behind the letter.
std::optional<std::string_view> take_side(std::string_view& rest, char letter, bool bare_float) {
  if (bare_float && rest.starts_with("float")) {
    rest.remove_prefix(5);
    return "float";
  }
  if (rest.empty() || rest.front() != letter) return std::nullopt;
  rest.remove_prefix(1);
  const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
  const std::size_t length = rest.starts_with("float") ? 5 : digits;
  const auto side = rest.substr(0, length);
  rest.remove_prefix(length);
  return side;
}

/// The choices of weights and activations: "w4a8" is int4 and int8, "mxfp4/int8" says both, what is missing is float.
std::pair<std::string, std::string> sides_of(const std::string& text) {
  if (const auto slash = text.find('/'); slash != std::string::npos)
    return {text.substr(0, slash), text.substr(slash + 1)};
  std::string_view rest = text;
  const auto weights = take_side(rest, 'w', true), activations = take_side(rest, 'a', false);
  const bool empty_side = (weights && weights->empty()) || (activations && activations->empty());
  if (!rest.empty() || empty_side || (!weights && !activations))
    throw InputError("'" + text +
                     "' is not a uniform plan; write w4a8, w4afloat, floata8, w4, a8, float, or choices as in mxfp4/int8");
  const auto choice = [](std::string_view side) {
    return side.empty() || side == "float" ? std::string("float") : "int" + std::string(side);
  };
  return {choice(weights.value_or("")), choice(activations.value_or(""))};
}

}  // namespace

Assignment uniform_assignment(const std::string& text, const SpaceSpec& spec, const Network& network,
                              ChoiceTable& table) {
  const auto [weights, activations] = sides_of(text);
  ChoiceId weight = kFloat, activation = kFloat;
  try {
    weight = table.add(parse_choice(weights, spec.weight_defaults, ChoiceDefaults::weights()));
    activation = table.add(parse_choice(activations, spec.activation_defaults, ChoiceDefaults::activations()));
  } catch (const InputError& error) {
    throw InputError("'" + text + "': " + error.what());
  }
  Assignment assignment;
  for (const Site& site : network.sites) {
    const ChoiceId choice = site.kind == Site::Kind::weight ? weight : activation;
    check_channels(network, site.id, table[choice]);
    assignment.push_back(choice);
  }
  return assignment;
}

}  // namespace bitplan
