#include <nlohmann/json.hpp>

#include "core/files.hpp"
#include "core/npy.hpp"
#include "plan/plan.hpp"
#include "plan/plan_rewrites.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kInline = 64;  ///< longer arrays go to the .npz

struct Arrays {
  std::map<std::string, Tensor> members;

  /// `shape`: of the array in the .npz; empty: a list.
  template <class T>
  Json put(const std::string& name, const std::vector<T>& values, Shape shape = {}) {
    if (values.size() <= kInline) return values;
    if (shape.empty()) shape = {static_cast<std::int64_t>(values.size())};
    members.emplace(name, Tensor::of<T>(shape, values));
    return {{"npz", name}};
  }
};

Json json_of(const Loss& loss) { return {{"value", loss.value}, {"low", loss.low}, {"high", loss.high}}; }

Json json_of(const Figures& figures) {
  Json out = Json::object();
  for (const auto& [name, loss] : figures) out[name] = json_of(loss);
  return out;
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json json_of(const LayerNames& names) {
  return {{"node", or_null(names.node)},     {"weight", or_null(names.weight)},
          {"input", or_null(names.input)},   {"output", or_null(names.output)},
          {"module", or_null(names.module)}, {"module_source", or_null(names.module_source)},
          {"gguf", or_null(names.gguf)}};
}

constexpr const char* kGranularities[] = {"tensor", "channel", "group", "token"};
constexpr const char* kCompensations[] = {"none", "bias", "analytic"};  ///< by BiasCorrection

/// Of tokens there are no scales: they are made at run time.
Json json_of(const PlannedActivation& activation, const std::string& prefix, Arrays& arrays) {
  const Choice& choice = activation.choice;
  Json row{{"choice", choice.label}, {"tensor", activation.tensor}, {"bits", choice.bits}};
  if (!activation.quantizer) return row;
  const SiteQuantizer& q = *activation.quantizer;
  row.update({{"signed", choice.symmetric}, {"narrow", choice.narrow},
              {"granularity", kGranularities[static_cast<int>(q.kind)]}});
  if (!q.is_plain()) row["axis"] = q.axis;
  if (!q.float_channels.empty()) row["outliers"] = arrays.put(prefix + "outliers", q.float_channels);
  if (q.kind == Granularity::Kind::token) return row;
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
  for (const Affine& part : q.parts) scales.push_back(part.scale), zero_points.push_back(part.zero_point);
  row["scale"] = arrays.put(prefix + "scale", scales);
  row["zero_point"] = arrays.put(prefix + "zero_point", zero_points);
  return row;
}

Json json_of(const PlannedLayer& layer, Arrays& arrays) {
  const auto prefix = "layers." + std::to_string(layer.id) + ".";
  const auto& choice = layer.weight.choice;
  Json weight{{"choice", choice.label}, {"bits", choice.bits}};
  const auto put = [&](const char* key, const auto& values) {
    if (!values.empty()) weight[key] = arrays.put(prefix + "weight." + key, values);
  };
  if (!layer.weight.bias.empty()) {
    weight["bias"] = arrays.put(prefix + "weight.bias", layer.weight.bias, layer.weight.bias_shape);
    weight["bias_shape"] = layer.weight.bias_shape;
  }
  if (!choice.is_float) {
    weight["format"] = choice.format;
    if (choice.is_integer()) weight.update({{"signed", choice.symmetric}, {"narrow", choice.narrow}});
    weight["granularity"] = kGranularities[static_cast<int>(choice.granularity.kind)];
    weight["axis"] = layer.axis;
    weight["group"] = choice.granularity.kind == Granularity::Kind::group ? Json(choice.granularity.group) : Json(nullptr);
    weight["scale"] = arrays.put(prefix + "weight.scale", layer.weight.scales);
    if (!layer.weight.offsets.empty())
      weight["zero_point"] = arrays.put(prefix + "weight.zero_point", layer.weight.offsets);
    else if (choice.is_integer())
      weight["zero_point"] = arrays.put(prefix + "weight.zero_point", layer.weight.zero_points);
    weight["rounding"] = choice.rounding;
    if (choice.refit) weight["refit"] = true;
    weight["compensation"] = kCompensations[static_cast<std::size_t>(choice.bias)];
    put("code_book", layer.weight.code_book);
    put("column_scale", layer.weight.column_scales);
    put("float_columns", layer.weight.float_columns);
    put("salient_columns", layer.weight.salient);
    put("codes", layer.weight.codes);
  }
  Json out{{"id", layer.id},
           {"op", layer.op},
           {"names", json_of(layer.names)},
           {"weight_shape", layer.weight_shape},
           {"folded_batch_norm", layer.folded_batch_norm},
           {"weight", std::move(weight)}};
  out["activation"] = layer.activation ? json_of(*layer.activation, prefix + "activation.", arrays) : Json(nullptr);
  out["costs"] = layer.costs;
  return out;
}

Json json_of(const Plan& plan, Arrays& arrays) {
  Json out{{"format", "bitplan-plan"},
           {"version", 1},
           {"name", plan.name},
           {"model", {{"file", plan.model_file}, {"sha256", plan.model_sha256}, {"opset", plan.opset},
                      {"producer", plan.producer}}},
           {"objective", plan.objective},
           {"data", plan.data},
           {"kind", plan.kind},
           {"stage", plan.stage},
           {"finish", plan.finish},
           {"constraints", Json::array()},
           {"loss", {{"selection", json_of(plan.selection)}, {"holdout", json_of(plan.holdout)}}},
           {"costs", plan.costs},
           {"references", Json::array()},
           {"optimality_gap", nullptr},  // no bound is known: measured losses are not additive
           {"provenance", plan.provenance},
           {"layers", Json::array()}};
  for (const auto& c : plan.constraints)
    out["constraints"].push_back(
        {{"text", c.text}, {"metric", c.metric}, {"limit", c.limit}, {"used", c.used}, {"slack", c.slack}});
  for (const auto& r : plan.references)
    out["references"].push_back({{"name", r.name},
                                 {"loss", {{"selection", json_of(r.selection)}, {"holdout", json_of(r.holdout)}}},
                                 {"costs", r.costs}});
  if (!plan.rewrites.empty())
    out["rewrites"] = rewrites_json(plan.rewrites, [&](const std::string& name, const std::vector<float>& values) {
      return arrays.put(name, values);
    });
  for (const auto& layer : plan.layers) out["layers"].push_back(json_of(layer, arrays));
  for (std::size_t i = 0; i < plan.products.size(); ++i) {
    const auto& product = plan.products[i];
    const auto prefix = "products." + std::to_string(i) + ".activation.";
    out["products"].push_back({{"nodes", product.nodes}, {"activation", json_of(product.activation, prefix, arrays)}});
  }
  return out;
}

}  // namespace

void write_plan(const std::filesystem::path& file, const Plan& plan) {
  Arrays arrays;
  auto json = json_of(plan, arrays);
  if (!arrays.members.empty()) {
    auto npz = file;
    npz.replace_extension(".npz");
    json["arrays"] = npz.filename().string();
    write_npz(npz, arrays.members);  // first: a plan never names arrays that are not there
  }
  write_text_atomically(file, json.dump(1) + '\n');
}

}  // namespace bitplan
