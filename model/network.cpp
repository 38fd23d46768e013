#include "model/network.hpp"

#include <algorithm>

#include "model/operator.hpp"

namespace bitplan {
namespace {

template <class T>
T attribute_or(const Node& node, const std::string& key, const T& fallback, const char* kind) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return fallback;
  if (const auto* value = std::get_if<T>(&found->second)) return *value;
  fail_node(node, "attribute '" + key + "' must be " + kind);
}

}  // namespace

std::int64_t Node::integer(const std::string& key, std::int64_t fallback) const {
  return attribute_or(*this, key, fallback, "an integer");
}

float Node::number(const std::string& key, float fallback) const {
  return attribute_or(*this, key, fallback, "a float");
}

std::string Node::text(const std::string& key, const std::string& fallback) const {
  return attribute_or(*this, key, fallback, "a string");
}

std::vector<std::int64_t> Node::integers(const std::string& key, const std::vector<std::int64_t>& fallback) const {
  return attribute_or(*this, key, fallback, "a list of integers");
}

std::size_t Network::weight_sites() const {
  const auto end = std::partition_point(sites.begin(), sites.end(),
                                        [](const Site& site) { return site.kind == Site::Kind::weight; });
  return static_cast<std::size_t>(end - sites.begin());
}

}  // namespace bitplan
