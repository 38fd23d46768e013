#include "model/boost_graph.hpp"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/strong_components.hpp>
#include <boost/graph/topological_sort.hpp>

namespace bitplan {
namespace {

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS>;

/// Edges go from reader to producer. A depth-first search that starts at the nodes in their given order then finishes
/// each node after its producers and, where the given order is valid, in just that order.
Graph graph_of(const Reads& reads) {
  Graph graph(reads.size());
  for (std::size_t node = 0; node < reads.size(); ++node)
    for (const NodeId producer : reads[node]) boost::add_edge(node, static_cast<std::size_t>(producer), graph);
  return graph;
}

}  // namespace

std::vector<NodeId> topological_order(const Reads& reads) {
  Graph graph = graph_of(reads);
  std::vector<NodeId> order;
  try {
    boost::topological_sort(graph, std::back_inserter(order));
  } catch (const boost::not_a_dag&) {
    order.clear();
  }
  return order;
}

std::vector<NodeId> nodes_on_a_cycle(const Reads& reads) {
  const Graph graph = graph_of(reads);
  std::vector<int> component(reads.size());
  const auto count = static_cast<std::size_t>(boost::strong_components(
      graph, boost::make_iterator_property_map(component.begin(), boost::identity_property_map())));
  std::vector<std::vector<NodeId>> members(count);
  for (std::size_t node = 0; node < reads.size(); ++node)
    members[static_cast<std::size_t>(component[node])].push_back(static_cast<NodeId>(node));
  for (const auto& group : members) {
    const auto& own = reads[static_cast<std::size_t>(group.front())];
    if (group.size() > 1 || std::find(own.begin(), own.end(), group.front()) != own.end()) return group;
  }
  return {};
}

}  // namespace bitplan
