#include <algorithm>
#include <cmath>

#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

namespace bitplan::test {
namespace {

bool starts(const std::string& text, std::string_view prefix) { return text.starts_with(prefix); }

/// The range that a source means; "" when it is not known.
std::string range_of_source(const GoldenCase& golden) {
  const std::string source = golden.text("source"), mapping = golden.text("mapping");
  if (starts(source, "nvidia-modelopt")) return "+absmax";
  if (!golden.flag("symmetric")) return "+affine+minmax";
  if (starts(source, "torch==")) return "+halfstep";
  if (!starts(source, "torchao")) return "";
  if (mapping.ends_with("NO_CLIPPING_ERR")) return "+noclip";
  return mapping.ends_with(".SYMMETRIC") ? "+halfstep" : "";
}

/// Parts whose scale the source holds at a floor: torch.ao at 2^-23, modelopt makes parts below 2^-24 zero, torchao
/// at 2^-126, as here, but with that scale for parts of zeros, which have scale 1 here.
std::vector<bool> at_floor(const WeightCase& weight) {
  std::vector<bool> out;
  for (const double scale : weight.theirs("scale"))
    out.push_back(scale == 0 || std::abs(scale - 0x1p-23) < 1e-12 || scale <= 0x1p-126);
  return out;
}

/// One step of OCTAV: the sum of |w| >= clip over (1 - k) times their number + k times all, k = 4^-bits / 3.
double octav_step(std::span<const float> part, double clip, std::int64_t bits) {
  const double k = std::ldexp(1.0, static_cast<int>(-2 * bits)) / 3;
  double sum = 0, above = 0;
  for (const float w : part)
    if (const double size = std::abs(static_cast<double>(w)); size >= clip) sum += size, above += 1;
  return sum / ((1 - k) * above + k * static_cast<double>(part.size()));
}

/// Takes over the reference's clip of a row of zeros (0; ours stands for scale 1), and of a row where its steps go to
/// and fro between two values, with ours, where the derivative changes sign, between them.
void take_clips_without_fixed_point(const WeightCase& weight, const std::vector<double>& theirs, std::int64_t rows,
                                    std::int64_t bits, std::vector<double>& ours) {
  const std::size_t length = ours.size() / static_cast<std::size_t>(rows);
  for (std::size_t begin = 0; begin < ours.size(); begin += length) {
    const double clip = theirs[begin], next = octav_step(std::span(weight.weight()).subspan(begin, length), clip, bits);
    const bool swings = std::abs(next - clip) > 1e-6 * clip && std::min(clip, next) <= ours[begin] * (1 + 1e-6) &&
                        ours[begin] <= std::max(clip, next) * (1 + 1e-6);
    if (clip == 0 || swings) std::fill_n(ours.begin() + static_cast<std::ptrdiff_t>(begin), length, clip);
  }
}

}  // namespace

Outcome check_uniform(const GoldenCase& golden) {
  const auto bits = golden.integer("bits");
  const std::string range = range_of_source(golden);
  if (!bits || range.empty()) return Outcome::fail("no rule covers its source: " + golden.text("source"));
  const std::string choice =
      "int" + std::to_string(*bits) + granularity_of(golden) + (golden.flag("narrow") ? "+narrow" : "") + range;
  const int axis = golden.integer("group_size") ? 0 : static_cast<int>(golden.integer("axis").value_or(0));
  const WeightCase weight(golden, choice, axis);
  const std::int64_t lowest = golden.flag("symmetric") ? 0 : golden.integer("qmin").value_or(0);
  std::vector<bool> left_out = at_floor(weight);
  if (std::find(left_out.begin(), left_out.end(), true) == left_out.end()) left_out.clear();
  return compare_weight(golden, weight, 1e-6, 1e-6, lowest, left_out);
}

Outcome check_quanto_absmax(const GoldenCase& golden) {
  const std::string type = golden.text("qtype");
  const std::string format = type == "quanto.qint8"            ? "int8"
                             : type == "quanto.qfloat8_e4m3fn" ? "fp8"
                             : type == "quanto.qfloat8_e5m2"   ? "fp8:e5m2"
                                                               : "";
  if (format.empty()) return Outcome::fail("no rule covers qtype " + type);
  const WeightCase weight(golden, format + granularity_of(golden) + "+absmax",
                          static_cast<int>(golden.integer("axis").value_or(0)));
  if (format == "int8") return compare_weight(golden, weight, 1e-6, 1e-6);
  return Comparison(golden)
      .near("scale", weight.scales(), weight.theirs("scale"), 1e-6)
      .near("out", weight.ours().values, golden.floats("out"), 1e-6)
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_pow2_scale(const GoldenCase& golden) {
  const std::string source = golden.text("source");
  const bool mse = source.find("MinMSE") != std::string::npos;
  if (!mse && source.find("MinMax") == std::string::npos) return Outcome::fail("no rule covers its source: " + source);
  const std::string choice = "int" + std::to_string(golden.integer("bits").value_or(0)) + granularity_of(golden);
  return compare_weight(golden, WeightCase(golden, choice + (mse ? "+pow2_mse" : "+pow2")), 0, 0);
}

Outcome check_brevitas_mse(const GoldenCase& golden) {
  const std::string choice = "int" + std::to_string(golden.integer("bits").value_or(0)) + granularity_of(golden);
  if (golden.flag("symmetric")) {
    const WeightCase weight(golden, choice + (golden.flag("narrow") ? "+narrow+grid" : "+grid"));
    const Outcome outcome = compare_weight(golden, weight, 1e-5, 1e-5);
    if (outcome.kind == Outcome::Kind::passed) return outcome;
    // Another of its candidates with the same error in float32, which is what brevitas sums in.
    return Comparison(golden)
        .at_most("mse", weight.ours().mse, golden.number("achieved_mse").value(), 1 + 1e-6)
        .outcome();
  }
  const WeightCase weight(golden, choice + "+affine+grid");
  return Comparison(golden)
      .at_most("mse", weight.ours().mse, golden.number("achieved_mse").value(), 1 + 1e-4)
      .outcome();
}

Outcome check_octav(const GoldenCase& golden) {
  const std::string choice = "int" + std::to_string(golden.integer("bits").value_or(0)) + granularity_of(golden);
  const WeightCase weight(golden, choice + (golden.flag("narrow") ? "+narrow+octav" : "+octav"));
  std::vector<double> clips = weight.scales();
  for (double& clip : clips) clip *= static_cast<double>(golden.integer("qmax").value());
  const std::vector<double> theirs = weight.theirs("clip_fixed_point");
  const std::int64_t rows = golden.integer("axis") ? golden.shape("weight")[0] : 1;
  take_clips_without_fixed_point(weight, theirs, rows, golden.integer("bits").value(), clips);
  return Comparison(golden)
      .near("clip", clips, theirs, 1e-4)
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

}  // namespace bitplan::test
