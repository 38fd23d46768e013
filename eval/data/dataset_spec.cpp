#include <algorithm>

#include "eval/data/dataset.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kMostSamples = std::int64_t{1} << 40;

const DataKind& kind_of(const Yaml& node) {
  const auto name = node.text();
  std::string known;
  for (const auto& kind : data_kinds()) {
    if (kind.name == name) return kind;
    known += (known.empty() ? "" : ", ") + std::string(kind.name);
  }
  node.fail("'" + name + "' is not a kind of data; known: " + known);
}

/// A key of another kind gets a message that says so; `only` would call it unknown.
void refuse_keys_of_other_kinds(const Yaml& node, const DataKind& own) {
  const auto has = [](const DataKind& kind, const std::string& key) {
    return std::find(kind.keys.begin(), kind.keys.end(), key) != kind.keys.end();
  };
  for (const auto& key : node.keys()) {
    if (has(own, key)) continue;
    std::string owners;
    for (const auto& kind : data_kinds())
      if (has(kind, key)) owners += (owners.empty() ? "" : ", ") + std::string(kind.name);
    if (!owners.empty()) node.at(key).fail("is a key of kind " + owners + "; this is kind " + std::string(own.name));
  }
}

}  // namespace

DataSpec DataSpec::from(const Yaml& node) {
  const auto& kind = kind_of(node.at("kind"));
  refuse_keys_of_other_kinds(node, kind);
  std::vector<std::string> known{"kind", "first", "samples"};
  known.insert(known.end(), kind.keys.begin(), kind.keys.end());
  node.only(known);

  DataSpec spec;
  spec.kind = kind.name;
  spec.place = node.place() + ": " + node.key_path();
  if (const auto first = node.find("first")) spec.first = first->integer_in(0, kMostSamples);
  if (const auto samples = node.find("samples")) spec.samples = samples->integer_in(1, kMostSamples);
  kind.read(node, spec);
  return spec;
}

}  // namespace bitplan
