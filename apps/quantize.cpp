#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/commands.hpp"
#include "apps/float_file.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/npy.hpp"
#include "quant/gram.hpp"
#include "quant/layer_quantizer.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::ordered_json;

/// Second moments of the inputs [samples …, length].
LayerMoments moments_of(const std::filesystem::path& file, std::int64_t length) {
  const Tensor inputs = read_floats(file);
  if (inputs.shape().empty() || inputs.shape().back() != length)
    throw InputError(file.string() + " has shape " + to_string(inputs.shape()) + "; its last dimension must be " +
                     std::to_string(length) + ", the elements that a channel is summed over");
  const auto values = inputs.values<float>();
  GramAccumulator sums(length);
  try {
    sums.add(values);
  } catch (const InputError& error) {
    throw InputError(file.string() + ": " + error.what());
  }
  LayerMoments moments;
  moments.columns = length;
  moments.rows = sums.count();
  moments.gram = {sums.gram()};
  moments.mean = moments.float_mean = {sums.mean()};
  const auto n = static_cast<std::size_t>(length);
  std::vector<double> absolute(n);
  std::vector<float> largest(n), mean;
  for (std::size_t i = 0; i < values.size(); ++i) {
    absolute[i % n] += std::abs(values[i]);
    largest[i % n] = std::max(largest[i % n], std::abs(values[i]));
  }
  for (const double sum : absolute) mean.push_back(static_cast<float>(sum / static_cast<double>(moments.rows)));
  moments.abs_mean = {mean};
  moments.abs_max = {largest};
  return moments;
}

QuantizedWeight quantized_file(const std::filesystem::path& file, const LayerWeight& weight, const Choice& choice) {
  try {
    return quantize_layer(weight, choice);
  } catch (const InputError& error) {
    throw InputError(file.string() + ": " + error.what());
  }
}

/// Writes the arrays that there are; returns their files.
Json write_arrays(const std::filesystem::path& folder, const Shape& shape, const QuantizedWeight& quantized) {
  Json files = Json::array();
  const auto write = [&](const char* name, const auto& values, const Shape& as) {
    if (values.empty()) return;
    const auto file = folder / (std::string(name) + ".npy");
    write_npy(file, Tensor::of(as, values));
    files.push_back(file.string());
  };
  const auto flat = [](const auto& values) { return Shape{static_cast<std::int64_t>(values.size())}; };
  std::filesystem::create_directories(folder);
  write("codes", quantized.codes, shape);
  write("scales", quantized.scales, flat(quantized.scales));
  write("zero_points", quantized.zero_points, flat(quantized.zero_points));
  write("code_book", quantized.code_book, flat(quantized.code_book));
  write("offsets", quantized.offsets, flat(quantized.offsets));
  write("column_scales", quantized.column_scales, flat(quantized.column_scales));
  write("float_columns", quantized.float_columns, flat(quantized.float_columns));
  write("bias", quantized.bias, flat(quantized.bias));
  write("values", quantized.values, shape);
  return files;
}

/// Errors of the values; sqnr_db is null when there is no error.
Json errors_of(std::span<const float> weights, const QuantizedWeight& quantized) {
  double energy = 0, largest = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    energy += static_cast<double>(weights[i]) * weights[i];
    largest = std::max(largest, std::abs(static_cast<double>(quantized.values[i]) - weights[i]));
  }
  const double error = quantized.mse * static_cast<double>(weights.size());
  Json out{{"mse", quantized.mse}, {"sqnr_db", nullptr}, {"max_abs_error", largest}};
  if (error > 0) out["sqnr_db"] = energy > 0 ? 10 * std::log10(energy / error) : 0.0;
  return out;
}

}  // namespace

int quantize_command(const QuantizeOptions& options) {
  const Tensor tensor = read_floats(options.tensor);
  const auto rank = static_cast<int>(tensor.shape().size());
  if (options.axis < 0 || options.axis >= std::max(rank, 1))
    throw UsageError("--axis " + std::to_string(options.axis) + ": the tensor has " + std::to_string(rank) +
                     " dimensions");
  const Choice choice = parse_choice(options.choice, ChoiceDefaults::weights(), ChoiceDefaults::weights());
  const WeightView view = WeightView::of(tensor.shape(), options.axis);
  if (choice.bias == BiasCorrection::analytic)
    throw UsageError("choice " + choice.label + ": the analytic bias takes the means of inputs from the batch " +
                     "normalisations of a network, a single tensor has none; use +bias with --act FILE.npy");
  if (choice.needs_data() && !options.act)
    throw UsageError("choice " + choice.label + " needs the inputs of the weight: --act FILE.npy");
  std::optional<LayerMoments> moments;
  if (options.act) moments = moments_of(*options.act, view.per_channel());
  const LayerWeight weight{tensor.values<float>(), view, moments ? &*moments : nullptr, 0};
  const auto weights = weight.values;
  const QuantizedWeight quantized = quantized_file(options.tensor, weight, choice);

  Json json{{"choice", choice.label},
            {"shape", tensor.shape()},
            {"axis", options.axis},
            {"parts", quantized.scales.size()},
            {"bits", choice.bits},
            {"stored_bits", quantized.stored_bits},
            {"bits_per_weight", static_cast<double>(quantized.stored_bits) / static_cast<double>(weights.size())}};
  json.update(errors_of(weights, quantized));
  if (moments) {
    json["output_mse"] = output_error(weight, quantized.values, choice.bias != BiasCorrection::none) /
                         static_cast<double>(view.channels);
    json["output_energy"] =
        output_error(weight, std::vector<float>(weights.size()), false) / static_cast<double>(view.channels);
  }
  json["files"] = write_arrays(options.out, tensor.shape(), quantized);
  if (options.json) {
    std::cout << json.dump(1) << '\n';
    return 0;
  }
  Table table({"quantity", "value"});
  for (const auto& [key, value] : json.items())
    if (key != "files") table.row({key, value.is_string() ? value.get<std::string>() : value.dump()});
  std::cout << table.text();
  for (const auto& file : json["files"]) std::cout << file.get<std::string>() << '\n';
  return 0;
}

}  // namespace bitplan
