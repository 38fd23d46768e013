#pragma once

#include <cstdint>
#include <vector>

#include "hwmodels/cost_model.hpp"
#include "search/space.hpp"

namespace bitplan {

/// The points of least and greatest additive cost.
///
/// A layer's cost depends on one weight variable and one activation variable. Once the activations are fixed, each
/// weight variable is decided alone. Activation variables are decided alone too, unless a weight variable (tied or
/// shared weights) meets several of them: those are tried in all combinations. So the minimum is exact for cost
/// O(layers × weight options × activation options), unless more than 4096 combinations hang together; then coordinate
/// descent finds a point, which is exact when it meets the sum of each pair's least cost.
class CheapestPoint {
 public:
  CheapestPoint(const Space& space, const CostModel& costs);

  /// Cost of a block of layers that share both variables, by [block][weight option * activation options + option].
  using Cells = std::vector<std::vector<long double>>;
  /// The cells of one metric. Throws InputError when the hardware of the metric gives no cost for float and the space
  /// offers float there.
  Cells cells(std::size_t metric) const;
  /// cells += factor * other
  static void add(Cells& cells, long double factor, const Cells& other);
  /// Forbids all activation options but the one of fewest bits.
  void keep_lowest_activations(Cells& cells) const;

  struct Found {
    Point point;
    long double cost = 0;
    bool exact = false;
  };
  /// Equal costs go to the options of fewest bits.
  Found minimum(const Cells& cells) const;

 private:
  /// Layers with the same weight and activation variable; -1 where there is none (embeddings; sites outside the space).
  struct Block {
    int weight = -1, activation = -1;
    std::vector<LayerId> layers;
  };
  /// Activation variables that must be decided together, and the weight variables and blocks that hang on them.
  struct Component {
    std::vector<int> activations, weights;
    std::vector<std::size_t> loose;  ///< blocks without weight variable
  };

  std::size_t options(int variable) const;
  ChoiceId choice(int variable, std::size_t option) const;
  long double cell(const Cells& cells, std::size_t block, const Point& point) const;
  /// Sets the weight options of the component that are best for its activations; returns the component's cost.
  long double settle_weights(const Cells& cells, const Component& component, Point& point) const;
  long double settle(const Cells& cells, const Component& component, Point& point) const;
  long double descend(const Cells& cells, const Component& component, Point& point) const;
  void find_components();

  const Space& space_;
  const CostModel& costs_;
  std::vector<Block> blocks_;
  std::vector<std::vector<std::size_t>> blocks_of_weight_;  ///< by variable
  std::vector<Component> components_;
};

}  // namespace bitplan
