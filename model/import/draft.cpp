#include "model/import/draft.hpp"

#include <algorithm>

namespace bitplan {

TensorId Draft::add_tensor(const std::string& name) {
  const auto id = static_cast<TensorId>(network.tensors.size());
  assert(!ids.contains(name));
  ids.emplace(name, id);
  network.tensors.emplace_back();
  network.tensors.back().name = name;
  origins.push_back({name});
  batch_norm_folded.push_back(false);
  return id;
}

TensorId Draft::find_or_add(const std::string& name) {
  const auto found = ids.find(name);
  return found == ids.end() ? add_tensor(name) : found->second;
}

bool Draft::is_output(TensorId id) const {
  return std::find(network.outputs.begin(), network.outputs.end(), id) != network.outputs.end();
}

}  // namespace bitplan
