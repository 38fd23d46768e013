#include <algorithm>
#include <cstring>

#include "model/import/draft.hpp"

namespace bitplan {
namespace {

const Tensor& weight_of(const Network& network, const Layer& layer) { return *network.tensor(layer.weight).constant; }

bool equal_copy(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0;
}

/// b [n, m] is a [m, n] transposed. Row by row of a, so that other matrices are told apart early. O(elements).
bool transposed_copy(const Tensor& a, const Tensor& b) {
  if (a.shape()[0] != b.shape()[1] || a.shape()[1] != b.shape()[0]) return false;
  const auto rows = static_cast<std::size_t>(a.shape()[0]), columns = static_cast<std::size_t>(a.shape()[1]);
  const auto x = a.values<float>(), y = b.values<float>();
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      if (x[r * columns + c] != y[c * rows + r]) return false;
  return true;
}

bool is_matrix(const Network& network, const Layer& layer) {
  return layer.weight_shape.size() == 2 && network.tensor(layer.weight).dtype == DType::f32;
}

}  // namespace

std::map<LayerId, TiedEmbedding> tied_embeddings(const Network& network) {
  std::map<LayerId, TiedEmbedding> tied;
  for (const Layer& head : network.layers) {
    if ((head.op != "MatMul" && head.op != "Gemm") || !is_matrix(network, head)) continue;
    for (const Layer& embedding : network.layers) {
      if (embedding.id >= head.id) break;
      if (embedding.op != "Gather" || embedding.weight == head.weight || embedding.weights != head.weights) continue;
      if (!is_matrix(network, embedding) || tied.contains(head.id)) continue;
      const Tensor &a = weight_of(network, embedding), &b = weight_of(network, head);
      if (equal_copy(a, b))
        tied.emplace(head.id, TiedEmbedding{embedding.id, false});
      else if (transposed_copy(a, b))
        tied.emplace(head.id, TiedEmbedding{embedding.id, true});
    }
  }
  return tied;
}

void note_shared_weights(Network& network) {
  for (const Site& site : network.sites) {
    if (site.kind != Site::Kind::weight || site.layers.size() < 2) continue;
    std::string names;
    bool embedding = false;
    for (const LayerId id : site.layers) {
      const Layer& layer = network.layer(id);
      embedding = embedding || layer.op == "Gather";
      const auto& name = layer.names.module.empty() ? layer.names.node : layer.names.module;
      names += (names.empty() ? "" : ", ") + layer.op + " '" + name + "'";
    }
    network.notes.push_back((embedding ? "tied embedding: " : "shared weight: ") + names + " use '" + site.name +
                            "', quantized and stored once");
  }
}

}  // namespace bitplan
