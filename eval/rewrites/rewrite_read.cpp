#include <cmath>

#include "eval/rewrites/rewrite.hpp"

namespace bitplan {
namespace {

double read_parameter(const Yaml& value, const RewriteParameter& p) {
  switch (p.kind) {
    case RewriteParameter::Kind::flag:
      return value.boolean() ? 1 : 0;
    case RewriteParameter::Kind::whole:
      return static_cast<double>(value.integer_in(static_cast<std::int64_t>(p.low), static_cast<std::int64_t>(p.high)));
    default:
      return value.number_in(p.low, p.high);
  }
}

/// equalize, or {smoothquant: {alpha: 0.5}}.
RewriteSpec read_rewrite(const Yaml& item) {
  std::string name;
  if (item.is_map()) {
    const auto keys = item.keys();
    if (keys.size() != 1)
      item.fail("must be a name or a map of one name, has " + std::to_string(keys.size()) + " keys");
    name = keys[0];
  } else {
    name = item.text();
  }
  const RewriteKind* kind = find_rewrite(name);
  if (!kind) {
    std::string known;
    for (const RewriteKind& row : rewrites()) known += (known.empty() ? "" : ", ") + std::string(row.name);
    item.fail("'" + name + "' is not a rewrite; known: " + known);
  }
  RewriteSpec spec{name, {}, item.place() + ": " + item.key_path()};
  for (const RewriteParameter& parameter : kind->parameters)
    spec.parameters[std::string(parameter.name)] = parameter.fallback;
  if (!item.is_map()) return spec;
  const Yaml values = item.at(name);
  std::vector<std::string> names;
  for (const RewriteParameter& parameter : kind->parameters) names.emplace_back(parameter.name);
  values.only(names);
  for (const RewriteParameter& p : kind->parameters) {
    const auto value = values.find(p.name);
    if (!value) continue;
    spec.parameters[std::string(p.name)] = read_parameter(*value, p);
  }
  return spec;
}

}  // namespace

std::vector<RewriteSpec> read_rewrites(const Yaml& list) {
  std::vector<RewriteSpec> specs;
  for (const Yaml& item : list.items()) specs.push_back(read_rewrite(item));
  return specs;
}

}  // namespace bitplan
