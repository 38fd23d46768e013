#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/yaml.hpp"
#include "model/network.hpp"
#include "quant/choice.hpp"
#include "quant/observers/observer.hpp"

namespace bitplan {

/// Sites that take one choice together: a site alone, or tied sites.
struct Variable {
  std::string name;  ///< name of its first site ("layer1.0.conv1.weight" or "q_proj.weight (+2)")
  Site::Kind kind = Site::Kind::weight;
  std::vector<SiteId> sites;
  std::vector<ChoiceId> options;  ///< fewest bits first (stored bits for weights, bits for activations); never empty
  std::int64_t elements = 0;
};

/// A candidate as searchers see it: an index into Variable::options for each variable.
using Point = std::vector<std::uint8_t>;

/// Which assignments may be plans. Immutable.
class Space {
 public:
  Space(std::vector<Variable> variables, std::size_t sites);

  const std::vector<Variable>& variables() const { return variables_; }
  Assignment assignment(const Point& point) const;
  /// The point of an assignment; nothing when it is outside the space (a choice not offered, a tie broken).
  std::optional<Point> point(const Assignment& assignment) const;
  /// Every site float: the reference that single-site sensitivities start from (usually outside the space).
  Assignment all_float() const { return Assignment(sites_, kFloat); }
  double log10_size() const;  ///< log10 of the number of points

 private:
  std::vector<Variable> variables_;
  std::size_t sites_;
  std::vector<int> variable_of_site_;
};

/// One row of `space.rules`: what the layers that it matches may be.
struct SpaceRule {
  Yaml node;
  std::vector<Yaml> match;  ///< patterns
  std::optional<std::vector<Choice>> weights, activations;
};

/// `space:` of the experiment: choices for weights and activations, rules (first match wins), ties.
///
///   weights:     {choices, granularity, range, percentile, symmetric, narrow, rounding, refit,
///                compensation: none | bias | analytic}; none but choices and granularity: the recipe `tuned`
///   activations: {choices, granularity: tensor | channel | token, observer, percentile, momentum, symmetric, narrow,
///                 attention}
///   rules:       a list of {match: pattern or list of patterns, weights: [choices], activations: [choices]}
///   ties:        a list of lists of patterns        graph_ties: whether ties found in the graph hold (default true)
///
/// A side that is left out stays float. `attention: true` makes both operands of products of two computed tensors
/// (q k' and p v) activation sites besides the inputs of layers (ImportOptions::attention_sites).
struct SpaceSpec {
  Yaml node;
  ChoiceDefaults weight_defaults, activation_defaults;
  ObserverSpec observer;
  std::vector<Choice> weight_choices, activation_choices;
  std::vector<SpaceRule> rules;
  std::vector<Yaml> ties;
  bool graph_ties = true;
  bool attention = false;

  /// Strict; each error cites its place.
  static SpaceSpec from(const Yaml& node);
};

/// Builds the space and adds the choices to `table`. Variables are ordered by their first site.
///
/// Patterns match layer module, node, weight and tensor names with * and ?, or are the words first, last, depthwise,
/// embedding (search/name_match.hpp). A rule's `weights` hold for the weights of the layers that it matches; its
/// `activations` for the activations that those layers read and for those matched by their own name. An activation read
/// by several layers, and tied sites, take the first rule of the list that matches any of them. Weights and activations
/// are decided apart: the first matching rule that names that side. A pattern that matches nothing is an error.
///
/// Each list of `ties` joins the sites (weights by layer, activations by tensor) whose wildcards stand for the same
/// text: ["*.q_proj", "*.k_proj"] ties q and k of each block, ["conv1", "conv2"] the two. A list that joins nothing is
/// an error.
Space make_space(const SpaceSpec& spec, const Network& network, ChoiceTable& table);

/// "w4a8": all weights int4, all activations int8 (wNaM, wNafloat, wfloataM or floataM; wN and aM alone leave the other
/// side float; "float"), or the choices of both sides as in "mxfp4/int8", with the granularity and range of the
/// experiment and regardless of its rules; choices are added to `table`. Throws InputError on another text.
Assignment uniform_assignment(const std::string& text, const SpaceSpec& spec, const Network& network,
                              ChoiceTable& table);

}  // namespace bitplan
