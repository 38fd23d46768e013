#include "eval/executor/graph_patterns.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "eval/executor/graph_walk.hpp"

namespace bitplan {

namespace {

constexpr double kTolerance = 1e-6;

bool near(std::optional<float> value, double wanted) {
  return value && std::abs(static_cast<double>(*value) - wanted) <= kTolerance * std::abs(wanted);
}

/// 1 + erf(x / sqrt 2): returns x.
std::optional<TensorId> erf_term(GraphWalk& walk, TensorId tensor) {
  const auto erf = walk.with_scalar(tensor, "Add", 1);
  const Node* node = erf ? walk.take(*erf, "Erf") : nullptr;
  if (!node) return std::nullopt;
  const auto divided = walk.with_scalar(node->inputs[0], "Div", std::sqrt(2.0));
  return divided ? divided : walk.with_scalar(node->inputs[0], "Mul", std::sqrt(0.5));
}

/// x^3 as Pow or products: returns x.
std::optional<TensorId> cube(GraphWalk& walk, TensorId tensor) {
  if (const auto x = walk.with_scalar(tensor, "Pow", 3)) return x;
  const Node* outer = walk.take(tensor, "Mul");
  if (!outer) return std::nullopt;
  for (const std::size_t i : {0U, 1U}) {
    const TensorId x = outer->inputs[i];
    const Node* square = walk.take(outer->inputs[1 - i], "Mul");
    if (square && square->inputs[0] == x && square->inputs[1] == x) return x;
  }
  return std::nullopt;
}

/// 1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)): returns x.
std::optional<TensorId> tanh_term(GraphWalk& walk, TensorId tensor) {
  const auto made = walk.with_scalar(tensor, "Add", 1);
  const Node* node = made ? walk.take(*made, "Tanh") : nullptr;
  if (!node) return std::nullopt;
  const auto sum = walk.with_scalar(node->inputs[0], "Mul", std::sqrt(2 / 3.14159265358979323846));
  const Node* add = sum ? walk.take(*sum, "Add") : nullptr;
  if (!add) return std::nullopt;
  for (const std::size_t i : {0U, 1U}) {
    const auto scaled = walk.with_scalar(add->inputs[i], "Mul", 0.044715);
    const auto x = scaled ? cube(walk, *scaled) : std::nullopt;
    if (x && *x == add->inputs[1 - i]) return x;
  }
  return std::nullopt;
}

/// The two factors that x/2 * term leaves after `half` was found or not, in every order: (x * .5) * term,
/// x * (.5 * term), (x * term) * .5.
std::optional<GeluPattern> gelu_from(const Network& net, NodeId last, bool tanh) {
  const auto term = tanh ? tanh_term : erf_term;
  const TensorId out = net.node(last).outputs[0];
  for (const std::size_t i : {0U, 1U}) {
    GraphWalk walk(net);
    const Node* root = walk.take(out, "Mul");
    const auto found = [&](std::optional<TensorId> x, TensorId other) -> std::optional<GeluPattern> {
      if (!x || *x != other) return std::nullopt;
      return GeluPattern{walk.nodes(), *x, tanh};
    };
    const TensorId a = root->inputs[i], b = root->inputs[1 - i];
    if (near(scalar_constant(net, a), 0.5)) {  // .5 * (x * term)
      const Node* product = walk.take(b, "Mul");
      if (!product) continue;
      for (const std::size_t j : {0U, 1U}) {
        GraphWalk inner = walk;
        const auto x = term(inner, product->inputs[j]);
        if (x && *x == product->inputs[1 - j]) return GeluPattern{inner.nodes(), *x, tanh};
      }
      continue;
    }
    if (const auto half = walk.with_scalar(a, "Mul", 0.5)) {
      GraphWalk inner = walk;
      const auto x = term(inner, b);  // (x * .5) * term
      if (x && *x == *half) return GeluPattern{inner.nodes(), *x, tanh};
      if (const auto pattern = found(term(walk, *half), b)) return pattern;  // (.5 * term) * x
    }
  }
  return std::nullopt;
}

/// sqrt(v + epsilon), v the mean of squares: returns v's node.
struct Deviation {
  const Node* mean = nullptr;
  float epsilon = 0;
};

std::optional<Deviation> deviation(GraphWalk& walk, TensorId tensor) {
  const Node* root = walk.take(tensor, "Sqrt");
  TensorId sum = kNoTensor;
  if (root) {
    sum = root->inputs[0];
  } else if (const auto base = walk.with_scalar(tensor, "Pow", 0.5)) {
    sum = *base;
  } else {
    return std::nullopt;
  }
  const Node* add = walk.take(sum, "Add");
  if (!add) return std::nullopt;
  for (const std::size_t i : {0U, 1U}) {
    const auto epsilon = scalar_constant(walk.network(), add->inputs[i]);
    const Node* mean = epsilon ? walk.take(add->inputs[1 - i], "ReduceMean") : nullptr;
    if (mean && walk.reduces_last_axis(*mean)) return Deviation{mean, *epsilon};
  }
  return std::nullopt;
}

/// The value whose squares `mean` averages.
std::optional<TensorId> squared(GraphWalk& walk, const Node& mean) {
  if (const auto x = walk.with_scalar(mean.inputs[0], "Pow", 2)) return x;
  const Node* product = walk.take(mean.inputs[0], "Mul");
  if (!product || product->inputs[0] != product->inputs[1]) return std::nullopt;
  return product->inputs[0];
}

/// x / sqrt(mean(x^2) + epsilon), by Div, or by Mul with a reciprocal (Reciprocal, 1 / s, Pow -0.5).
std::optional<NormPattern> normalized(GraphWalk& walk, TensorId tensor) {
  const auto finish = [&](GraphWalk& w, TensorId x, TensorId scale_of) -> std::optional<NormPattern> {
    const auto found = deviation(w, scale_of);
    const auto base = found ? squared(w, *found->mean) : std::nullopt;
    if (!base || *base != x) return std::nullopt;
    return NormPattern{{}, x, kNoTensor, kNoTensor, found->epsilon, false};
  };
  if (const Node* quotient = walk.take(tensor, "Div")) return finish(walk, quotient->inputs[0], quotient->inputs[1]);
  const Node* product = walk.take(tensor, "Mul");
  if (!product) return std::nullopt;
  for (const std::size_t i : {0U, 1U}) {
    GraphWalk attempt = walk;
    const TensorId x = product->inputs[i], factor = product->inputs[1 - i];
    std::optional<TensorId> root;
    if (const Node* reciprocal = attempt.take(factor, "Reciprocal")) {
      root = reciprocal->inputs[0];
    } else if (const Node* quotient = attempt.take(factor, "Div")) {
      if (near(scalar_constant(walk.network(), quotient->inputs[0]), 1)) root = quotient->inputs[1];
    }
    const auto pattern = root ? finish(attempt, x, *root) : std::nullopt;
    if (!pattern) continue;
    walk = attempt;
    return pattern;
  }
  return std::nullopt;
}

/// A constant of one value for each element of the last axis of `like`.
bool is_row(const Network& net, TensorId tensor, TensorId like) {
  const TensorInfo& info = net.tensor(tensor);
  const Shape& shape = net.tensor(like).shape;
  return info.constant && info.dtype == DType::f32 && !shape.empty() && !info.shape.empty() &&
         info.shape.back() == shape.back() && element_count(info.shape) == shape.back() &&
         info.shape.size() <= shape.size();
}

/// x - mean(x): returns x.
std::optional<TensorId> centered(GraphWalk& walk, TensorId tensor) {
  const Node* difference = walk.take(tensor, "Sub");
  const Node* mean = difference ? walk.take(difference->inputs[1], "ReduceMean") : nullptr;
  if (!mean || !walk.reduces_last_axis(*mean) || mean->inputs[0] != difference->inputs[0]) return std::nullopt;
  return mean->inputs[0];
}

/// Takes `tensor` = other op row apart, row being a constant: returns the other.
std::optional<TensorId> with_row(GraphWalk& walk, TensorId tensor, std::string_view op, TensorId& row) {
  const Node* node = walk.look(tensor, op);
  if (!node) return std::nullopt;
  for (const std::size_t i : {0U, 1U}) {
    if (!is_row(walk.network(), node->inputs[i], tensor)) continue;
    walk.take(tensor, op);
    row = node->inputs[i];
    return node->inputs[1 - i];
  }
  return std::nullopt;
}

}  // namespace

std::optional<GeluPattern> match_gelu(const Network& network, NodeId last) {
  if (network.node(last).op != "Mul") return std::nullopt;
  if (auto erf = gelu_from(network, last, false)) return erf;
  return gelu_from(network, last, true);
}

std::optional<NormPattern> match_norm(const Network& network, NodeId last) {
  GraphWalk walk(network);
  const TensorId out = network.node(last).outputs[0];
  TensorId scale = kNoTensor, bias = kNoTensor;
  const TensorId shifted = with_row(walk, out, "Add", bias).value_or(out);
  const TensorId scaled = with_row(walk, shifted, "Mul", scale).value_or(shifted);
  auto pattern = normalized(walk, scaled);
  if (!pattern) return std::nullopt;
  if (const auto x = centered(walk, pattern->input)) {
    pattern->input = *x;
    pattern->centered = true;
  }
  if (network.tensor(pattern->input).dtype != DType::f32) return std::nullopt;
  pattern->scale = scale;
  pattern->bias = bias;
  pattern->nodes = walk.nodes();
  return pattern;
}

std::optional<AttentionPattern> match_attention(const Network& network, NodeId last) {
  GraphWalk walk(network);
  const auto product = walk.take(network.node(last).outputs[0], "MatMul");
  const Node* softmax = product ? walk.take(product->inputs[0], "Softmax") : nullptr;
  if (!softmax || !walk.is_last_axis(*softmax)) return std::nullopt;
  AttentionPattern pattern{{}, -1, last, kNoTensor, kNoTensor, product->inputs[1], kNoTensor, 1};
  TensorId scores = softmax->inputs[0];
  const Shape& shape = network.tensor(scores).shape;
  if (const Node* sum = walk.look(scores, "Add")) {
    for (const std::size_t i : {0U, 1U}) {
      const TensorId made = sum->inputs[i];
      const bool computed = walk.look(made, "MatMul") || walk.scaled(made);
      if (pattern.mask != kNoTensor || !computed || network.tensor(made).shape != shape) continue;
      walk.take(scores, "Add");
      pattern.mask = sum->inputs[1 - i];
      scores = made;
      break;
    }
  }
  while (const auto factor = walk.scaled(scores)) {
    pattern.scale *= factor->second;
    walk.take(scores, network.node(network.tensor(scores).producer).op);
    scores = factor->first;
  }
  const Node* head = walk.take(scores, "MatMul");
  if (!head || network.tensor(scores).shape != shape || network.tensor(head->inputs[0]).shape.size() < 2)
    return std::nullopt;
  pattern.scores = network.tensor(scores).producer;
  pattern.q = head->inputs[0];
  pattern.k = head->inputs[1];
  pattern.nodes = walk.nodes();
  return pattern;
}

std::optional<RotaryPattern> match_rotary(const Network& network, NodeId last) {
  const TensorId out = network.node(last).outputs[0];
  for (const std::size_t i : {0U, 1U}) {
    GraphWalk walk(network);
    const Node* sum = walk.take(out, "Add");
    const Node* straight = sum ? walk.take(sum->inputs[i], "Mul") : nullptr;
    const Node* turned = straight ? walk.take(sum->inputs[1 - i], "Mul") : nullptr;
    if (!turned) continue;
    for (const std::size_t j : {0U, 1U}) {
      GraphWalk attempt = walk;
      const auto x = attempt.rotated(turned->inputs[j]);
      if (!x) continue;
      for (const std::size_t k : {0U, 1U})
        if (straight->inputs[k] == *x)
          return RotaryPattern{attempt.nodes(), *x, straight->inputs[1 - k], turned->inputs[1 - j]};
    }
  }
  return std::nullopt;
}

bool is_closed(const Network& network, std::span<const NodeId> nodes, const std::vector<bool>& seen) {
  return std::ranges::all_of(nodes.first(nodes.size() - 1), [&](NodeId node) {
    return std::ranges::all_of(network.node(node).outputs, [&](TensorId made) {
      if (made == kNoTensor) return true;
      return !seen[static_cast<std::size_t>(made)] &&
             std::ranges::all_of(network.tensor(made).consumers,
                                 [&](NodeId reader) { return std::ranges::count(nodes, reader) > 0; });
    });
  });
}

std::optional<float> scalar_constant(const Network& network, TensorId tensor) {
  if (tensor == kNoTensor) return std::nullopt;
  const auto& constant = network.tensor(tensor).constant;
  if (!constant || constant->dtype() != DType::f32 || constant->size() != 1) return std::nullopt;
  return constant->values<float>()[0];
}

}  // namespace bitplan
