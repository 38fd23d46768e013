#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/yaml.hpp"

namespace bitplan {

/// A value in one line, as it could be typed after --set: "7", "[int4, int8]", "{method: greedy, evaluations: 40}".
std::string inline_text(const Yaml& node);

/// The first place where two documents say different things.
struct YamlDifference {
  std::string path;                     ///< "search[1].evaluations"
  std::optional<std::string> was, now;  ///< inline_text, long ones cut; nothing where the key or item is missing
};

/// In the order of `now`, then what only `was` has; maps are equal in any order of their keys. `except`: keys of the
/// outer map that are not compared. O(nodes * keys of a map).
std::optional<YamlDifference> first_difference(const Yaml& was, const Yaml& now,
                                               const std::vector<std::string_view>& except = {});

}  // namespace bitplan
