#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "core/error.hpp"
#include "eval/rewrites/channel_grid.hpp"
#include "eval/rewrites/rewrite_fold.hpp"
#include "eval/rewrites/rewrite_job.hpp"
#include "quant/rewrites/equalisation.hpp"

// Cross-layer equalisation, quant/rewrites/equalisation.hpp. Sets of two layers, or of three around a depthwise one, are
// taken in the order of the network and share layers, so this goes round until no factor changes by more than 0.1 % in
// a round, or 100 rounds are done. (AIMET goes round once, Nagel et al. until convergence.)
namespace bitplan {
namespace {

constexpr double kConverged = 1e-3;
constexpr int kMostRounds = 100;

/// Two layers with nothing between them but functions that factors pass.
struct Link {
  ChannelFold fold;
  LayerId from = 0, to = 0;
  std::vector<double> factors;  ///< the product of all rounds
};

/// The weight of a layer as largest magnitudes by output and input channel, to which factors are applied on the fly.
struct EqualizedLayer {
  ChannelGrid grid;
  std::vector<float> magnitudes;
  const Link *in = nullptr, *out = nullptr;

  /// Largest magnitude by output (input) channel, with the factors so far.
  std::vector<float> ranges(bool outputs) const {
    std::vector<double> most(outputs ? grid.outputs() : grid.inputs());
    for (std::size_t i = 0; i < magnitudes.size(); ++i) {
      const std::size_t output = i / grid.group_inputs();
      const std::size_t input = output / grid.group_outputs() * grid.group_inputs() + i % grid.group_inputs();
      double value = static_cast<double>(magnitudes[i]);
      if (in) value *= in->factors[input];
      if (out) value /= out->factors[output];
      double& known = most[outputs ? output : input];
      known = std::max(known, value);
    }
    return {most.begin(), most.end()};
  }
};

class Equalization {
 public:
  explicit Equalization(const Network& net) : net_(net) {
    for (const Layer& layer : net.layers) {
      auto found = find_fold(net, layer.input, FoldInto::layer);
      if (!found.fold || !found.fold->from || found.fold->to != std::vector{layer.id} || found.fold->channels < 2)
        continue;
      const std::vector<double> ones(found.fold->channels, 1.0);
      links_.push_back({*found.fold, *found.fold->from, layer.id, ones});
    }
    for (const Link& link : links_) {
      add_layer(link.from).out = &link;
      add_layer(link.to).in = &link;
    }
    make_sets();
  }

  const std::vector<Link>& links() const { return links_; }
  std::size_t layers() const { return layers_.size(); }
  std::size_t chains() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(layers_, [](const auto& entry) { return entry.second.in == nullptr; }));
  }

  /// Returns the rounds that it took.
  int run() {
    for (int round = 1;; ++round) {
      double change = 0;
      for (const auto& [first, second] : sets_)
        change = std::max(change, second ? three(*first, *second) : two(*first));
      if (change <= kConverged || round == kMostRounds) return round;
    }
  }

  /// The largest quotient of the ranges of two output channels of one layer, those below 1e-4 of the largest left out:
  /// what a scale for the whole tensor has to span.
  double spread() const {
    double most = 1;
    for (const auto& [id, layer] : layers_) {
      if (!layer.out) continue;
      const auto ranges = layer.ranges(true);
      const double top = static_cast<double>(*std::ranges::max_element(ranges));
      for (const float range : ranges)
        if (static_cast<double>(range) > 1e-4 * top) most = std::max(most, top / static_cast<double>(range));
    }
    return most;
  }

 private:
  EqualizedLayer& add_layer(LayerId id) {
    const auto found = layers_.find(id);
    if (found != layers_.end()) return found->second;
    const Layer& layer = net_.layer(id);
    const ChannelGrid grid(net_, layer);
    const auto weight = net_.tensor(layer.weight).constant->values<float>();
    if (!std::ranges::all_of(weight, [](float w) { return std::isfinite(w); }))
      throw InputError("the weight of layer '" + layer.names.node + "' has NaN or infinite values");
    return layers_.emplace(id, EqualizedLayer{grid, grid.magnitudes(weight)}).first->second;
  }

  void make_sets() {
    for (std::size_t i = 0; i < links_.size(); ++i) {
      if (std::ranges::any_of(sets_, [&](const auto& set) { return set.second == &links_[i]; })) continue;
      const auto next = std::ranges::find(links_, links_[i].to, &Link::from);
      const bool middle = layers_.at(links_[i].to).grid.is_depthwise();
      sets_.push_back({&links_[i], middle && next != links_.end() ? &*next : nullptr});
    }
  }

  static double apply(Link& link, const std::vector<float>& factors) {
    double change = 0;
    for (std::size_t i = 0; i < factors.size(); ++i) {
      link.factors[i] *= static_cast<double>(factors[i]);
      change = std::max(change, std::abs(std::log(static_cast<double>(factors[i]))));
    }
    return change;
  }

  double two(Link& link) {
    return apply(link, equalisation_scales(layers_.at(link.from).ranges(true), layers_.at(link.to).ranges(false)));
  }

  double three(Link& first, Link& second) {
    const auto factors = equalisation_scales(layers_.at(first.from).ranges(true), layers_.at(first.to).ranges(true),
                                             layers_.at(second.to).ranges(false));
    return std::max(apply(first, factors[0]), apply(second, factors[1]));
  }

  const Network& net_;
  std::vector<Link> links_;
  std::map<LayerId, EqualizedLayer> layers_;
  std::vector<std::pair<Link*, Link*>> sets_;  ///< one link, or two around a depthwise layer
};

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

void apply_equalize(RewriteJob& job) {
  Equalization all(job.network);
  const double before = all.spread();
  const int rounds = all.run();
  std::vector<std::pair<ChannelFold, std::vector<float>>> folds;
  for (const Link& link : all.links()) {
    std::vector<float> factors(link.factors.begin(), link.factors.end());
    for (float& s : factors)
      if (!std::isnormal(s) || !std::isnormal(1 / s)) s = 1;
    folds.emplace_back(link.fold, std::move(factors));
  }
  job.summary = std::to_string(all.layers()) + " layers in " + std::to_string(all.chains()) + " chains, " +
                std::to_string(rounds) + " rounds, largest ratio of channel ranges in a layer " + short_number(before) +
                " -> " + short_number(all.spread());
  if (folds.empty()) job.summary = "no two layers follow each other directly";
  apply_folds(job.network, folds, job.record);
}

}  // namespace bitplan
