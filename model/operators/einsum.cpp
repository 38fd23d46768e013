#include <algorithm>
#include <map>
#include <set>

#include "model/operators/declarations.hpp"
#include "model/operators/strided.hpp"

// Einsum: "bij,bjk->bik". A letter names an axis of one size wherever it stands; letters that the result lacks are
// summed over; a letter twice in one term takes the diagonal; "..." stands for leading axes that broadcast. Without
// "->" the result has the letters that occur once, in alphabetical order. Sums in double.
namespace bitplan {
namespace {

/// One term: its letters; kDots + d stands for axis d (counted from the last) of the ellipsis.
using Term = std::vector<int>;
constexpr int kDots = 256, kMostDots = 64;

struct EinsumPlan {
  Shape shape;                  ///< of the result
  Shape loops;                  ///< of the result's axes, then of those that are summed
  std::vector<Strides> inputs;  ///< by input: strides along the loops
};

[[noreturn]] void fail_equation(const Node& node, const std::string& problem) {
  fail_node(node, "equation '" + node.text("equation", "") + "': " + problem);
}

/// The letters of a term; "..." becomes `dots` axes.
Term parse_term(const Node& node, const std::string& text, std::size_t dots) {
  Term term;
  bool seen = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      term.push_back(text[i]);
    } else if (text.compare(i, 3, "...") == 0 && !seen) {
      for (std::size_t d = dots; d-- > 0;) term.push_back(kDots + static_cast<int>(d));
      i += 2, seen = true;
    } else {
      fail_equation(node, "'" + text + "' is no list of letters and at most one '...'");
    }
  }
  return term;
}

/// The texts of the inputs' terms and, behind them, of the result when it is written.
std::vector<std::string> split_equation(const Node& node, std::size_t inputs, bool& explicit_result) {
  std::string text = node.text("equation", "");
  std::erase(text, ' ');
  const auto arrow = text.find("->");
  explicit_result = arrow != std::string::npos;
  std::string left = text.substr(0, arrow);
  std::vector<std::string> terms;
  for (std::size_t comma; (comma = left.find(',')) != std::string::npos; left.erase(0, comma + 1))
    terms.push_back(left.substr(0, comma));
  terms.push_back(left);
  if (terms.size() != inputs)
    fail_equation(node,
                  "has " + std::to_string(terms.size()) + " terms, the node " + std::to_string(inputs) + " inputs");
  if (explicit_result) terms.push_back(text.substr(arrow + 2));
  return terms;
}

/// How many axes "..." of this term stands for.
std::size_t dots_of(const Node& node, const std::string& text, std::size_t rank) {
  const auto letters = static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c); }));
  const bool dots = text.find("...") != std::string::npos;
  if (letters > rank || (!dots && letters != rank) || rank - letters > kMostDots)
    fail_equation(node, "term '" + text + "' does not fit an input of rank " + std::to_string(rank));
  return rank - letters;
}

Term implicit_result(const std::vector<Term>& terms) {
  std::map<int, int> count;
  std::set<int, std::greater<>> dots;
  for (const auto& term : terms)
    for (const int letter : term) letter >= kDots ? void(dots.insert(letter)) : void(++count[letter]);
  Term result(dots.begin(), dots.end());
  for (const auto& [letter, n] : count)
    if (n == 1) result.push_back(letter);
  return result;
}

/// The size of each letter; axes of the ellipsis broadcast, others must agree.
std::map<int, std::int64_t> sizes_of(const Node& node, const std::vector<Term>& terms, FactsIn inputs) {
  std::map<int, std::int64_t> sizes;
  for (std::size_t i = 0; i < terms.size(); ++i)
    for (std::size_t d = 0; d < terms[i].size(); ++d) {
      const int letter = terms[i][d];
      const std::int64_t size = inputs[i]->shape[d];
      const auto [place, added] = sizes.emplace(letter, size);
      if (added || place->second == size || (letter >= kDots && size == 1)) continue;
      if (letter >= kDots && place->second == 1)
        place->second = size;
      else
        fail_equation(node, (letter >= kDots ? "'...'" : std::string("'") + static_cast<char>(letter) + "'") + " is " +
                                std::to_string(place->second) + " in one place and " + std::to_string(size) +
                                " in another");
    }
  return sizes;
}

EinsumPlan plan_einsum(const Node& node, FactsIn inputs) {
  for (const auto* input : inputs)
    if (input == nullptr) fail_node(node, "no input may be left out");
  bool explicit_result = false;
  const auto texts = split_equation(node, inputs.size(), explicit_result);
  std::vector<Term> terms;
  std::size_t most_dots = 0;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::size_t dots = dots_of(node, texts[i], inputs[i]->shape.size());
    most_dots = std::max(most_dots, dots);
    terms.push_back(parse_term(node, texts[i], dots));
  }
  const Term result = explicit_result ? parse_term(node, texts.back(), most_dots) : implicit_result(terms);
  const auto sizes = sizes_of(node, terms, inputs);
  Term order = result;
  for (const int letter : result)
    if (!sizes.contains(letter) || std::count(result.begin(), result.end(), letter) > 1)
      fail_equation(node, "its result names an axis that no input has, or one twice");
  for (const auto& [letter, size] : sizes)
    if (std::find(order.begin(), order.end(), letter) == order.end()) order.push_back(letter);
  EinsumPlan plan;
  for (const int letter : order) plan.loops.push_back(sizes.at(letter));
  plan.shape.assign(plan.loops.begin(), plan.loops.begin() + static_cast<std::ptrdiff_t>(result.size()));
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Strides own = strides_of(inputs[i]->shape);
    Strides strides(order.size(), 0);
    for (std::size_t d = 0; d < terms[i].size(); ++d)
      if (inputs[i]->shape[d] != 1)  // a letter twice in one term: its diagonal
        strides[static_cast<std::size_t>(std::find(order.begin(), order.end(), terms[i][d]) - order.begin())] += own[d];
    plan.inputs.push_back(std::move(strides));
  }
  return plan;
}

}  // namespace

Facts infer_einsum(const Node& node, FactsIn inputs) {
  const EinsumPlan plan = plan_einsum(node, inputs);
  for (const auto* input : inputs) require_type(node, *input, {DType::f32, DType::f64});
  require_same_type(node, inputs);
  make_facts(node, DType::u8, plan.shape);
  double steps = 1;
  for (const auto size : plan.loops) steps *= static_cast<double>(size);
  if (steps > 0x1p48) fail_node(node, "it would take more than 2^48 multiplications");
  return one_output(node, inputs[0]->dtype, plan.shape);
}

std::vector<Tensor> evaluate_einsum(const Node& node, TensorsIn inputs) {
  const EinsumPlan plan = plan_einsum(node, KnownInputs(inputs));
  const std::size_t kept = plan.shape.size(), axes = plan.loops.size(), n = inputs.size();
  std::vector<Tensor> wide;
  for (const auto* input : inputs) wide.push_back(input->cast(DType::f64));
  Tensor y(DType::f64, plan.shape);
  const Shape summed(plan.loops.begin() + static_cast<std::ptrdiff_t>(kept), plan.loops.end());
  const std::int64_t terms = element_count(summed);
  std::vector<std::int64_t> at(n, 0);
  Shape index(axes, 0);
  // Moves to the next index of axes begin … end - 1, and back to their start behind the last.
  const auto advance = [&](std::size_t begin, std::size_t end) {
    for (std::size_t d = end; d-- > begin;) {
      const bool wraps = ++index[d] == plan.loops[d];
      for (std::size_t i = 0; i < n; ++i) at[i] += plan.inputs[i][d] * (wraps ? 1 - plan.loops[d] : 1);
      if (!wraps) return;
      index[d] = 0;
    }
  };
  for (double& out : y.writable<double>()) {
    double sum = 0;
    for (std::int64_t k = 0; k < terms; ++k, advance(kept, axes)) {
      double product = 1;
      for (std::size_t i = 0; i < n; ++i) product *= wide[i].values<double>()[static_cast<std::size_t>(at[i])];
      sum += product;
    }
    out = sum;
    advance(0, kept);
  }
  return {y.cast(inputs[0]->dtype())};
}

}  // namespace bitplan
