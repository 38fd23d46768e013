#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "core/error.hpp"
#include "model/import/draft.hpp"
#include "model/import/expand_attention.hpp"
#include "model/import/sequences.hpp"
#include "model/macs.hpp"
#include "model/operator.hpp"
#include "model/operators/arguments.hpp"

namespace bitplan {
namespace {

/// What folding may cost: new constants of at most 2^26 elements beside four times what the file's constants have (so
/// that each weight may be transposed or converted), and 2^31 multiply-accumulates for one node. Nodes beyond stay.
constexpr std::int64_t kFreeElements = std::int64_t{1} << 26;
constexpr std::int64_t kCopies = 4;
constexpr double kMostMacs = 0x1p31;

/// Inputs and outputs that are left out at the end are as if not written.
void trim(std::vector<TensorId>& ids) {
  while (!ids.empty() && ids.back() == kNoTensor) ids.pop_back();
}

void check_counts(const Node& node, const Operator& op) {
  const auto text = [](int n) { return std::to_string(n); };
  const int inputs = static_cast<int>(node.inputs.size()), outputs = static_cast<int>(node.outputs.size());
  for (int i = 0; i < op.min_inputs; ++i)
    if (i >= inputs || node.inputs[static_cast<std::size_t>(i)] == kNoTensor)
      fail_node(node, "input " + text(i) + " is missing; it needs at least " + text(op.min_inputs));
  if (inputs > op.max_inputs)
    fail_node(node, "has " + text(inputs) + " inputs; at most " + text(op.max_inputs) + " are known");
  if (outputs < 1) fail_node(node, "has no output");
  if (outputs > op.max_outputs)
    fail_node(node, "has " + text(outputs) + " outputs; at most " + text(op.max_outputs) + " are known");
}

/// The words of a row's attributes: "axes@18" is known since opset 18.
void check_attributes(const Node& node, const Operator& op) {
  for (const auto& [name, value] : node.attributes) {
    bool known = false;
    std::string list;
    std::istringstream words{std::string(op.attributes)};
    for (std::string word; words >> word;) {
      const auto at = word.find('@');
      const int since = at == std::string::npos ? 1 : std::stoi(word.substr(at + 1));
      word = word.substr(0, at);
      if (word == name && since > node.opset)
        fail_node(node, "attribute '" + name + "' needs opset " + std::to_string(since));
      known = known || word == name;
      list += (list.empty() ? "" : " ") + word;
    }
    if (!known) fail_node(node, "attribute '" + name + "' is not known; known: " + (list.empty() ? "none" : list));
  }
}

/// Operators whose first input passes unchanged or rearranged: a weight keeps its module through them.
bool carries_name(const std::string& op) {
  return op == "Identity" || op == "Transpose" || op == "Cast" || op == "Reshape";
}

class Folder {
 public:
  explicit Folder(Draft& draft) : draft_(draft), sequences_(draft), left_(kFreeElements) {
    for (const auto& tensor : draft.network.tensors)
      if (tensor.constant) left_ += kCopies * static_cast<std::int64_t>(tensor.constant->size());
  }

  void run() {
    for (auto& written : std::exchange(draft_.nodes, {})) {
      prepare(written.node);
      for (auto& made : sequences_.resolve(std::move(written))) {
        prepare(made.node);
        if (is_attention(draft_, made.node))
          visit_expanded(made.node);
        else
          visit(std::move(made));
      }
    }
    for (auto& output : draft_.network.outputs) {
      output = alias(output);
      if (sequences_.is_sequence(output))
        throw InputError("output '" + draft_.tensor(output).name +
                         "' is a sequence; sequences are supported inside the graph only: export with tensors only");
    }
    auto& notes = draft_.network.notes;
    if (folded_ > 0) notes.push_back("folded " + std::to_string(folded_) + " nodes whose values are known");
    if (dropped_ > 0) notes.push_back("dropped " + std::to_string(dropped_) + " Identity, Dropout and Cast nodes");
  }

 private:
  /// The tensor that stands for this one since copies were dropped.
  TensorId alias(TensorId id) const {
    const auto found = alias_.find(id);
    return found == alias_.end() ? id : found->second;
  }

  void prepare(Node& node) const {
    trim(node.inputs), trim(node.outputs);
    for (auto& input : node.inputs) input = alias(input);
  }

  /// The node's type and shape by its own rules, then the nodes that it consists of.
  void visit_expanded(const Node& node) {
    const Operator& op = *find_operator(node.op);
    check_counts(node, op);
    check_attributes(node, op);
    infer(node, op);
    for (auto& made : expand_attention(draft_, node)) {
      prepare(made.node);
      visit(std::move(made));
    }
  }

  void visit(DraftNode&& made) {
    Node& node = made.node;
    const Operator& op = *find_operator(node.op);
    check_counts(node, op);
    check_attributes(node, op);
    auto facts = infer(node, op);
    set_outputs(node, facts);
    if (drop_copy(node)) {
      made.dead = true;
      ++dropped_;
    } else if (fold(node, op, facts)) {
      made.dead = true;
      ++folded_;
    }
    draft_.nodes.push_back(std::move(made));
  }

  std::vector<TensorFacts> infer(const Node& node, const Operator& op) const {
    std::vector<TensorFacts> inputs(node.inputs.size());
    std::vector<const TensorFacts*> pointers(node.inputs.size(), nullptr);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (node.inputs[i] == kNoTensor) continue;
      const TensorInfo& tensor = draft_.tensor(node.inputs[i]);
      inputs[i] = {tensor.dtype, tensor.shape, tensor.constant};
      pointers[i] = &inputs[i];
    }
    try {
      return op.infer(node, pointers);
    } catch (const DataDependent& e) {
      const TensorId output = node.outputs[0];
      throw InputError(std::string(e.what()) + "; so the shape of its output '" +
                       (output == kNoTensor ? std::string() : draft_.tensor(output).name) +
                       "' is not known: export with fixed shapes, or end the model before this node");
    }
  }

  void set_outputs(const Node& node, const std::vector<TensorFacts>& facts) {
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNoTensor) continue;
      if (i >= facts.size()) fail_node(node, "its output " + std::to_string(i) + " is not supported");
      draft_.tensor(node.outputs[i]).dtype = facts[i].dtype;
      draft_.tensor(node.outputs[i]).shape = facts[i].shape;
    }
  }

  /// Identity, Dropout without mask, Cast to the type it has: readers of the output read the input instead.
  bool drop_copy(const Node& node) {
    if (node.op != "Identity" && node.op != "Dropout" && node.op != "Cast") return false;
    const TensorId from = node.inputs[0], to = node.outputs[0];
    if (to == kNoTensor || draft_.tensor(from).dtype != draft_.tensor(to).dtype) return false;
    for (std::size_t i = 1; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNoTensor) return false;
    if (draft_.is_output(to)) {
      // An output keeps its name: the tensor takes it over, unless it must keep one of its own.
      if (!made_by_node_.contains(from) || draft_.is_output(from)) {
        made_by_node_.insert(to);
        return false;
      }
      std::swap(draft_.tensor(from).name, draft_.tensor(to).name);
      std::replace(draft_.network.outputs.begin(), draft_.network.outputs.end(), to, from);
    }
    alias_[to] = from;
    return true;
  }

  /// Multiplications that computing this node takes at most.
  double work(const Node& node, const std::vector<TensorFacts>& facts) const {
    constexpr std::string_view kProducts = " Attention AveragePool Einsum LRN LpPool MaxPool Resize ";
    if (kProducts.find(" " + node.op + " ") != std::string_view::npos) {  // each output may read all of all inputs
      auto product = static_cast<double>(element_count(facts[0].shape));
      for (const TensorId id : node.inputs)
        if (id != kNoTensor) product *= std::max(1.0, static_cast<double>(element_count(draft_.tensor(id).shape)));
      return product;
    }
    if (node.inputs.size() < 2 || node.inputs[0] == kNoTensor || node.inputs[1] == kNoTensor) return 0;
    return multiply_accumulates(node, draft_.tensor(node.inputs[0]).shape, draft_.tensor(node.inputs[1]).shape,
                                facts[0].shape);
  }

  bool affordable(const Node& node, const std::vector<TensorFacts>& facts) {
    std::int64_t elements = 0;
    for (const auto& f : facts) elements += element_count(f.shape);
    if (work(node, facts) > kMostMacs || elements > left_) return false;
    left_ -= elements;
    return true;
  }

  bool fold(const Node& node, const Operator& op, std::vector<TensorFacts>& facts) {
    const bool known =
        std::all_of(facts.begin(), facts.end(), [](const TensorFacts& f) { return f.constant.has_value(); });
    std::vector<Tensor> values;
    if (known) {
      for (auto& f : facts) values.push_back(*f.constant);
      if (node.op == "Constant") left_ += kCopies * static_cast<std::int64_t>(values[0].size());
    } else {
      std::vector<const Tensor*> inputs;
      for (const TensorId id : node.inputs) {
        if (id != kNoTensor && !draft_.tensor(id).constant) {
          made_by_node_.insert(node.outputs.begin(), node.outputs.end());
          return false;
        }
        inputs.push_back(id == kNoTensor ? nullptr : &*draft_.tensor(id).constant);
      }
      if (!affordable(node, facts)) {
        made_by_node_.insert(node.outputs.begin(), node.outputs.end());
        return false;
      }
      values = op.evaluate(node, inputs);
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNoTensor) draft_.tensor(node.outputs[i]).constant = std::move(values[i]);
    if (carries_name(node.op)) {
      const auto& before = draft_.origins[static_cast<std::size_t>(node.inputs[0])];
      auto& origins = draft_.origins[static_cast<std::size_t>(node.outputs[0])];
      origins.insert(origins.end(), before.begin(), before.end());
    }
    return true;
  }

  Draft& draft_;
  Sequences sequences_;
  std::map<TensorId, TensorId> alias_;  ///< copies that were dropped, by what they copy
  std::int64_t left_;                   ///< elements that folding may still make
  std::set<TensorId> made_by_node_;     ///< outputs of nodes that stay
  int folded_ = 0, dropped_ = 0;
};

}  // namespace

void infer_and_fold(Draft& draft) { Folder(draft).run(); }

}  // namespace bitplan
