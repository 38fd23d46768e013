#include <cassert>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/channel_axis.hpp"
#include "apps/commands.hpp"
#include "apps/float_file.hpp"
#include "apps/input_file.hpp"
#include "apps/out_folder.hpp"
#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/npy.hpp"
#include "quant/layer_quantizer.hpp"
#include "quant/ranges/value_range.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::ordered_json;

/// All that may be written, NAME.npy each; values always and first, as remove_earlier_arrays asks.
constexpr std::string_view kArrays[] = {"values",  "codes",         "scales",        "zero_points", "code_book",
                                        "offsets", "column_scales", "float_columns", "bias"};

/// Files that are read must not be among those that a choice writes or that are removed for it.
void check_not_among_arrays(const QuantizeOptions& options) {
  for (const std::string_view name : kArrays) {
    const auto file = options.out / (std::string(name) + ".npy");
    std::error_code missing;
    for (const auto* read : {&options.tensor, options.act ? &*options.act : nullptr})
      if (read != nullptr && std::filesystem::equivalent(*read, file, missing))
        throw UsageError("--out " + options.out.string() + ": " + read->string() +
                         " is read and would be replaced; give another folder");
  }
}

/// The weight, all values of which are finite.
Tensor read_weight(const std::filesystem::path& file) {
  Tensor weight = read_floats(file);
  try {
    range_of(weight.values<float>());
  } catch (const InputError& error) {
    throw InputError(file.string() + ": " + error.what());
  }
  return weight;
}

/// Calls compute(); what is wrong with finite weights and inputs is told with both files and how large they are.
template <class Compute>
auto naming_files(const QuantizeOptions& options, std::span<const float> weights,
                  const std::optional<FileMoments>& inputs, const Compute& compute) {
  try {
    return compute();
  } catch (const InputError& error) {
    const auto sized = [](const std::filesystem::path& file, float largest) {
      return file.string() + " (values up to " + significant(largest) + ")";
    };
    throw InputError(sized(options.tensor, absmax_of(weights)) +
                     (inputs ? " with --act " + sized(*options.act, inputs->largest) : "") + ": " + error.what());
  }
}

/// Writes the arrays that there are, in place of those of an earlier choice; returns their files.
Json write_arrays(const std::filesystem::path& folder, const Shape& shape, const QuantizedWeight& quantized) {
  Json files = Json::array();
  std::size_t at = 0;
  const auto write = [&](const auto& values, const Shape& as) {
    const auto file = folder / (std::string(kArrays[at++]) + ".npy");
    if (values.empty()) return;
    write_npy(file, Tensor::of(as, values));
    files.push_back(file.string());
  };
  const auto write_flat = [&](const auto& values) { write(values, Shape{static_cast<std::int64_t>(values.size())}); };
  if (const std::string removed = remove_earlier_arrays(folder, kArrays); !removed.empty())
    log_info(folder.string() + ": " + removed + " of an earlier choice removed");
  try {
    write(quantized.values, shape);
    write(quantized.codes, shape);
    write_flat(quantized.scales);
    write_flat(quantized.zero_points);
    write_flat(quantized.code_book);
    write_flat(quantized.offsets);
    write_flat(quantized.column_scales);
    write_flat(quantized.float_columns);
    write_flat(quantized.bias);
  } catch (const std::runtime_error& error) {
    throw InputError(std::string("the output directory cannot be used: ") + error.what());
  }
  assert(at == std::size(kArrays));
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

/// Mean squared error of the outputs by channel, and that of zeros, which is the outputs' energy.
Json output_errors(const LayerWeight& weight, const QuantizedWeight& quantized, bool with_bias) {
  const auto channels = static_cast<double>(weight.view.channels);
  const std::vector<float> zeros(weight.values.size());
  // A bias that takes off all of the error leaves a difference of equal sums, to the last digits.
  return {{"output_mse", std::max(0.0, output_error(weight, quantized.values, with_bias)) / channels},
          {"output_energy", output_error(weight, zeros, false) / channels}};
}

Choice choice_of(const QuantizeOptions& options) {
  Choice choice = parse_choice(options.choice, ChoiceDefaults::weights(), ChoiceDefaults::weights());
  if (choice.bias == BiasCorrection::analytic)
    throw UsageError("choice " + choice.label + ": the analytic bias takes the means of inputs from the batch " +
                     "normalisations of a network, a single tensor has none; use +bias with --act FILE.npy");
  if (choice.needs_data() && !options.act)
    throw UsageError("choice " + choice.label + " needs the inputs of the weight: --act FILE.npy");
  return choice;
}

void print(const Json& json) {
  Table table({"quantity", "value"});
  for (const auto& [key, value] : json.items())
    if (key != "files") table.row({key, value.is_string() ? value.get<std::string>() : value.dump()});
  std::cout << table.text();
  for (const auto& file : json["files"]) std::cout << file.get<std::string>() << '\n';
}

}  // namespace

int quantize_command(const QuantizeOptions& options) {
  const Tensor tensor = read_weight(options.tensor);
  const std::optional<int> axis = channel_axis(options.axis, tensor.shape());
  if (!axis) throw UsageError(no_such_axis(options.axis, options.tensor, tensor.shape()));
  const Choice choice = choice_of(options);
  const WeightView view = WeightView::of(tensor.shape(), *axis);
  std::optional<FileMoments> inputs;
  if (options.act) inputs = read_moments(*options.act, view.per_channel());
  check_not_among_arrays(options);
  make_out_folder(options.out);

  const LayerWeight weight{tensor.values<float>(), view, inputs ? &inputs->moments : nullptr, 0};
  const auto weights = weight.values;
  const QuantizedWeight quantized =
      naming_files(options, weights, inputs, [&] { return quantize_layer(weight, choice); });
  Json json{{"choice", choice.label},
            {"shape", tensor.shape()},
            {"axis", *axis},
            {"parts", quantized.scales.size()},
            {"bits", choice.bits},
            {"stored_bits", quantized.stored_bits},
            {"bits_per_weight", static_cast<double>(quantized.stored_bits) / static_cast<double>(weights.size())}};
  json.update(errors_of(weights, quantized));
  if (inputs)
    json.update(naming_files(options, weights, inputs,
                             [&] { return output_errors(weight, quantized, choice.bias != BiasCorrection::none); }));
  json["files"] = write_arrays(options.out, tensor.shape(), quantized);
  if (options.json)
    std::cout << json.dump(1) << '\n';
  else
    print(json);
  return 0;
}

}  // namespace bitplan
