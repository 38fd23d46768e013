#include "search/name_match.hpp"

#include <algorithm>

namespace bitplan {

std::optional<std::vector<std::string>> match_glob(std::string_view pattern, std::string_view text) {
  struct Wildcard {
    std::size_t begin, end;  ///< in text
  };
  std::vector<Wildcard> found;
  constexpr auto kNone = std::string_view::npos;
  std::size_t p = 0, t = 0, star = kNone, star_found = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_found = found.size();
      found.push_back({t, t});
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      if (pattern[p] == '?') found.push_back({t, t + 1});
      ++p, ++t;
    } else if (star != kNone) {
      // Only the last star can need more: what stands before it matched at the earliest place there is.
      found.resize(star_found + 1);
      t = ++found.back().end;
      p = star + 1;
    } else {
      return std::nullopt;
    }
  }
  for (; p < pattern.size() && pattern[p] == '*'; ++p) found.push_back({t, t});
  if (p < pattern.size()) return std::nullopt;
  std::vector<std::string> wildcards;
  for (const auto& [begin, end] : found) wildcards.emplace_back(text.substr(begin, end - begin));
  return wildcards;
}

namespace {

bool is_depthwise(const Layer& layer) {
  if (layer.groups <= 1 || layer.weight_shape.size() < 2) return false;
  return layer.channel_axis == 0 ? layer.weight_shape[1] == 1 : layer.weight_shape[0] == layer.groups;
}

/// Names that are not empty, each once, in their order.
std::vector<std::string> distinct(std::initializer_list<std::string> names) {
  std::vector<std::string> kept;
  for (const auto& name : names)
    if (!name.empty() && std::find(kept.begin(), kept.end(), name) == kept.end()) kept.push_back(name);
  return kept;
}

std::vector<NameMatcher::Match> matches(const std::vector<std::pair<int, std::vector<std::string>>>& entries,
                                        const std::string& pattern) {
  std::vector<NameMatcher::Match> found;
  for (const auto& [id, names] : entries)
    for (const auto& name : names)
      if (auto wildcards = match_glob(pattern, name)) {
        found.push_back({id, std::move(*wildcards)});
        break;
      }
  return found;
}

}  // namespace

NameMatcher::NameMatcher(const Network& network) : network_(network) {
  for (const Layer& layer : network.layers) {
    const auto& site = network.site(network.weight_site[static_cast<std::size_t>(layer.id)]);
    layer_names_.emplace_back(layer.id, distinct({layer.names.module, layer.names.node, network.node(layer.node).name,
                                                  layer.names.weight, site.name}));
  }
  for (const Site& site : network.sites)
    if (site.kind == Site::Kind::activation)
      activation_names_.emplace_back(site.id, distinct({site.name, network.tensor(site.tensor).name}));
}

std::vector<NameMatcher::Match> NameMatcher::layers(const std::string& pattern) const {
  std::vector<Match> found;
  const auto last = static_cast<LayerId>(network_.layers.size()) - 1;
  if (pattern == "first" || pattern == "last" || pattern == "depthwise" || pattern == "embedding") {
    for (const Layer& layer : network_.layers)
      if ((pattern == "first" && layer.id == 0) || (pattern == "last" && layer.id == last) ||
          (pattern == "depthwise" && is_depthwise(layer)) || (pattern == "embedding" && layer.op == "Gather"))
        found.push_back({layer.id, {}});
    return found;
  }
  return matches(layer_names_, pattern);
}

std::vector<NameMatcher::Match> NameMatcher::activations(const std::string& pattern) const {
  return matches(activation_names_, pattern);
}

std::string NameMatcher::suggestion(const std::string& pattern) const {
  std::vector<std::string> known{"first", "last", "depthwise", "embedding"};
  for (const auto* names : {&layer_names_, &activation_names_})
    for (const auto& entry : *names) known.insert(known.end(), entry.second.begin(), entry.second.end());
  const auto guess = nearest(pattern, known);
  return guess.empty() ? "" : " (did you mean '" + guess + "'?)";
}

}  // namespace bitplan
