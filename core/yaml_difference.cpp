#include "core/yaml_difference.hpp"

#include <algorithm>

namespace bitplan {
namespace {

constexpr std::size_t kMostShown = 80;

std::optional<std::string> shown(const std::optional<Yaml>& node) {
  if (!node) return std::nullopt;
  auto text = inline_text(*node);
  if (text.size() <= kMostShown) return text;
  auto cut = kMostShown;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;  // not inside a UTF-8 character
  return text.substr(0, cut) + "...";
}

std::optional<YamlDifference> compare(const std::optional<Yaml>& was, const std::optional<Yaml>& now) {
  if (was && now) return first_difference(*was, *now);
  return YamlDifference{(now ? now : was)->key_path(), shown(was), shown(now)};
}

std::optional<YamlDifference> difference_of_lists(const Yaml& was, const Yaml& now) {
  const auto before = was.items(), after = now.items();
  const auto at = [](const std::vector<Yaml>& items, std::size_t i) {
    return i < items.size() ? std::optional(items[i]) : std::nullopt;
  };
  for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i)
    if (auto found = compare(at(before, i), at(after, i))) return found;
  return std::nullopt;
}

}  // namespace

std::string inline_text(const Yaml& node) {
  std::string text;
  const auto add = [&](const std::string& item) { text.append(text.empty() ? "" : ", ").append(item); };
  if (node.is_map()) {
    for (const auto& key : node.keys()) add(key + ": " + inline_text(node.at(key)));
    return '{' + text + '}';
  }
  if (node.is_list()) {
    for (const auto& item : node.items()) add(inline_text(item));
    return '[' + text + ']';
  }
  return node.is_scalar() ? node.text() : "null";
}

std::optional<YamlDifference> first_difference(const Yaml& was, const Yaml& now,
                                               const std::vector<std::string_view>& except) {
  if (was.is_list() && now.is_list()) return difference_of_lists(was, now);
  if (!was.is_map() || !now.is_map()) {
    if (inline_text(was) == inline_text(now)) return std::nullopt;
    return YamlDifference{now.key_path(), shown(was), shown(now)};
  }
  auto keys = now.keys();
  for (const auto& key : was.keys())
    if (!now.find(key)) keys.push_back(key);
  for (const auto& key : keys) {
    if (std::find(except.begin(), except.end(), key) != except.end()) continue;
    if (auto found = compare(was.find(key), now.find(key))) return found;
  }
  return std::nullopt;
}

}  // namespace bitplan
