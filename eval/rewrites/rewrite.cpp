#include "eval/rewrites/rewrite.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/error.hpp"
#include "eval/rewrites/rewrite_job.hpp"

namespace bitplan {
namespace {

constexpr double kMostDifference = 1e-4;  ///< of float outputs, relative to the largest
constexpr std::size_t kKeepInputBytes = std::size_t{256} << 20;

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// The float outputs of the first calibration chunk.
std::vector<std::vector<float>> float_outputs(const Executor& executor, const Chunk& chunk) {
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, chunk.inputs, {});
  const Network& net = executor.network();
  std::vector<std::vector<float>> outputs(net.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (net.tensor(net.outputs[i]).dtype != DType::f32) continue;
    const auto values = executor.output_values(*workspace, i);
    outputs[i].assign(values.begin(), values.end());
    if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
      throw InputError("the output '" + net.tensor(net.outputs[i]).name +
                       "' has NaN or infinite values on the first calibration samples");
  }
  return outputs;
}

/// Largest difference relative to the largest value of the same output, over all outputs.
double largest_difference(const std::vector<std::vector<float>>& made, const std::vector<std::vector<float>>& wanted) {
  double worst = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    double most = 0, difference = 0;
    for (std::size_t v = 0; v < wanted[i].size(); ++v) {
      most = std::max(most, static_cast<double>(std::abs(wanted[i][v])));
      difference = std::max(difference, static_cast<double>(std::abs(made[i][v] - wanted[i][v])));
    }
    if (difference > 0) worst = std::max(worst, difference / most);
  }
  return worst;
}

}  // namespace

std::span<const RewriteKind> rewrites() {
  using Kind = RewriteParameter::Kind;
  static const std::vector<RewriteKind> kTable{
      {"equalize", "cross-layer equalisation: channel ranges of layers in a row made equal", {}, apply_equalize},
      {"smoothquant",
       "outliers of activations moved into the weights behind them",
       {{"alpha", 0.5, 0, 1}, {"insert", 0, 0, 1, Kind::flag}},
       apply_smoothquant},
      {"awq",
       "finer steps for weights behind large activations, by the error of the layer's output",
       {{"bits", 4, 2, 8, Kind::whole}, {"group", 128, 0, 1 << 20, Kind::whole}, {"insert", 0, 0, 1, Kind::flag}},
       apply_awq},
  };
  return kTable;
}

const RewriteKind* find_rewrite(std::string_view name) {
  const auto found = std::ranges::find(rewrites(), name, &RewriteKind::name);
  return found == rewrites().end() ? nullptr : &*found;
}

std::string RewriteSpec::text() const {
  std::string out;
  const RewriteKind* row = find_rewrite(kind);
  for (const auto& [name, value] : parameters) {
    const bool flag = row && std::ranges::any_of(row->parameters, [&](const RewriteParameter& p) {
                        return p.name == name && p.kind == RewriteParameter::Kind::flag;
                      });
    if (flag && value == 0) continue;
    out += (out.empty() ? "" : ", ") + name + (flag ? "" : ' ' + short_number(value));
  }
  return kind + (out.empty() ? "" : " (" + out + ")");
}

Rewritten rewrite_network(std::shared_ptr<const Network> network, std::span<const RewriteSpec> specs,
                          const DataSpec& calibration, int threads) {
  Rewritten result{network, {}, {}};
  if (specs.empty()) return result;
  ChunkedData data(calibration, *network, kKeepInputBytes);
  const auto chunk = data.chunk(0);
  auto executor = std::make_unique<Executor>(network);
  std::vector<std::vector<float>> wanted;
  for (const RewriteSpec& spec : specs) {
    try {
      if (wanted.empty()) wanted = float_outputs(*executor, *chunk);
      auto copy = std::make_shared<Network>(*result.network);
      RewriteRecord record{spec, {}};
      RewriteJob job{*copy, spec, *executor, data, threads, record};
      find_rewrite(spec.kind)->apply(job);
      executor = std::make_unique<Executor>(copy);
      const double difference = largest_difference(float_outputs(*executor, *chunk), wanted);
      if (!(difference <= kMostDifference))
        throw InputError("the float outputs differ by " + short_number(difference) +
                         " of the largest one; at most 1e-4 is allowed");
      job.notes.insert(job.notes.begin(), job.summary + "; float outputs within " + short_number(difference));
      for (const auto& note : job.notes) result.lines.push_back(spec.text() + ": " + note);
      result.records.push_back(std::move(record));
      result.network = std::move(copy);
    } catch (const InputError& e) {
      throw InputError(spec.place + ": " + spec.text() + ": " + e.what());
    }
  }
  auto noted = std::make_shared<Network>(*result.network);
  noted->notes.insert(noted->notes.end(), result.lines.begin(), result.lines.end());
  result.network = std::move(noted);
  return result;
}

}  // namespace bitplan
