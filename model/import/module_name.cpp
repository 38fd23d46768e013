#include "model/import/module_name.hpp"

#include <string_view>

namespace bitplan {

std::string module_of_weight(const std::string& weight) {
  constexpr std::string_view kSuffix = ".weight";
  if (weight.size() <= kSuffix.size() || !weight.ends_with(kSuffix)) return {};
  const std::string module = weight.substr(0, weight.size() - kSuffix.size());
  return module.find("::") == std::string::npos && module.find('/') == std::string::npos ? module : std::string();
}

std::string module_of_scopes(const std::string& name_scopes) {
  std::vector<std::string> entries;
  for (std::size_t at = 0; at < name_scopes.size();) {
    const auto open = name_scopes.find_first_of("'\"", at);
    if (open == std::string::npos) break;
    const auto close = name_scopes.find(name_scopes[open], open + 1);
    if (close == std::string::npos) return {};
    entries.push_back(name_scopes.substr(open + 1, close - open - 1));
    at = close + 1;
  }
  return entries.size() < 2 ? std::string() : entries[entries.size() - 2];
}

std::string module_of_node(const std::string& node) {
  if (node.empty() || node.front() != '/') return {};
  std::vector<std::string> parts;
  for (std::size_t begin = 1; begin <= node.size();) {
    const auto end = std::min(node.find('/', begin), node.size());
    parts.push_back(node.substr(begin, end - begin));
    begin = end + 1;
  }
  if (!parts.empty()) parts.pop_back();  // the operator
  std::vector<std::string> path;
  for (auto& part : parts) {
    if (!path.empty() && part.starts_with(path.back() + "."))
      path.back() = part;
    else
      path.push_back(part);
  }
  std::string module;
  for (const auto& part : path) module += (module.empty() ? "" : ".") + part;
  return module;
}

}  // namespace bitplan
