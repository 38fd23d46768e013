#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/yaml.hpp"
#include "model/network.hpp"

namespace bitplan {

/// What the wildcards of `pattern` stand for in `text`: * any number of characters (the fewest that lead to a match,
/// from left to right), ? one character; nothing when the whole text does not match. O(pattern × text).
std::optional<std::vector<std::string>> match_glob(std::string_view pattern, std::string_view text);

/// The names of a network's layers and activation sites as patterns see them.
/// A layer answers to its torch module, its ONNX node, its weight tensor and the name of its weight site; an activation
/// site to its name and its tensor.
class NameMatcher {
 public:
  explicit NameMatcher(const Network& network);

  struct Match {
    int id = 0;                          ///< LayerId or SiteId
    std::vector<std::string> wildcards;  ///< under the first name that matches
  };
  /// Layers by name, or by the words first (layer 0), last, depthwise (as many groups as channels) and embedding
  /// (Gather).
  std::vector<Match> layers(const std::string& pattern) const;
  std::vector<Match> activations(const std::string& pattern) const;
  /// " (did you mean 'conv1'?)" or nothing.
  std::string suggestion(const std::string& pattern) const;

 private:
  using Names = std::vector<std::pair<int, std::vector<std::string>>>;
  const Network& network_;
  Names layer_names_, activation_names_;
};

}  // namespace bitplan
