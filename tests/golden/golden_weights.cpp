#include "tests/golden/golden_weights.hpp"

#include <cassert>
#include <cmath>
#include <stdexcept>

namespace bitplan::test {
namespace {

constexpr double kTieSlack = 1e-6;

Shape resolved(const GoldenCase& golden, const Shape& weight) {
  const auto found = golden.meta.find("view");
  if (found == golden.meta.end() || found->is_null()) return weight;
  auto view = found->get<Shape>();
  std::int64_t known = 1;
  for (const auto d : view) known *= d < 0 ? 1 : d;
  for (auto& d : view)
    if (d < 0) d = element_count(weight) / known;
  return view;
}

}  // namespace

WeightCase::WeightCase(const GoldenCase& golden, const std::string& choice, int axis)
    : WeightCase(golden, choice_of(choice), [&] {
        const Shape shape = golden.shape("weight");
        return WeightView::of(shape, axis < 0 ? axis + static_cast<int>(shape.size()) : axis);
      }()) {}

WeightCase::WeightCase(const GoldenCase& golden, const Choice& choice, const WeightView& view)
    : golden_(golden),
      weight_(golden.floats("weight")),
      shape_(golden.shape("weight")),
      view_(view),
      choice_(choice),
      ours_(quantize_weight(weight_, view_, choice_)) {}

std::vector<double> WeightCase::by_element(const std::vector<double>& by_part) const {
  std::vector<double> out;
  const std::int64_t length = view_.per_channel(), size = view_.size();
  const auto parts = static_cast<std::int64_t>(by_part.size());
  for (std::int64_t e = 0; e < size; ++e) {
    if (choice_.granularity.kind == Granularity::Kind::tensor) {
      out.push_back(by_part.at(0));
      continue;
    }
    const std::int64_t channel = e / view_.inner % view_.channels;
    const std::int64_t at = e / (view_.inner * view_.channels) * view_.inner + e % view_.inner;
    const std::int64_t per_channel = parts / view_.channels, run = (length + per_channel - 1) / per_channel;
    out.push_back(by_part.at(static_cast<std::size_t>(channel * per_channel + at / run)));
  }
  return out;
}

std::vector<double> WeightCase::scales() const {
  return by_element(std::vector<double>(ours_.scales.begin(), ours_.scales.end()));
}

std::vector<double> WeightCase::zero_points() const {
  return by_element(std::vector<double>(ours_.zero_points.begin(), ours_.zero_points.end()));
}

std::vector<double> WeightCase::theirs(const std::string& array) const {
  const std::vector<double> values = golden_.doubles(array);
  Shape from = golden_.shape(array), to = resolved(golden_, shape_);
  if (from.size() != to.size()) throw std::runtime_error(array + " does not broadcast over the view");
  std::vector<double> out;
  for (std::int64_t e = 0; e < view_.size(); ++e) {
    std::int64_t rest = e, at = 0, stride = 1;
    for (std::size_t d = to.size(); d-- > 0; rest /= to[d]) {
      if (from[d] != 1) at += rest % to[d] * stride;
      stride *= from[d];
    }
    out.push_back(values.at(static_cast<std::size_t>(at)));
  }
  return out;
}

std::vector<double> WeightCase::positions(double shift) const {
  std::vector<double> out = scales();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = weight_[i] / out[i] + shift;
  return out;
}

std::vector<float> WeightCase::values_where(const std::vector<bool>& same) const {
  std::vector<float> out = golden_.floats("out");
  for (std::size_t i = 0; i < out.size(); ++i)
    if (same[i]) out[i] = ours_.values.at(i);
  return out;
}

Choice choice_of(const std::string& text) {
  const ChoiceDefaults defaults = ChoiceDefaults::weights();
  return parse_choice(text, defaults, defaults);
}

Choice choice_of(const std::string& text, std::int64_t bits) {
  Choice choice = choice_of(text);
  choice.bits = static_cast<int>(bits);
  return choice;
}

std::vector<bool> near_bounds(const Levels& levels, const std::vector<double>& positions) {
  std::vector<bool> near;
  for (const double at : positions)
    near.push_back(levels.index(static_cast<float>(at * (1 - kTieSlack))) !=
                   levels.index(static_cast<float>(at * (1 + kTieSlack))));
  return near;
}

std::string granularity_of(const GoldenCase& golden) {
  if (const auto group = golden.integer("group_size")) return ":g" + std::to_string(*group);
  return golden.integer("axis") ? ":channel" : ":tensor";
}

Outcome compare_weight(const GoldenCase& golden, const WeightCase& weight, double scale_tolerance,
                       double value_tolerance, std::int64_t lowest_code, const std::vector<bool>& left_out) {
  std::vector<std::int64_t> ours = weight.codes(), theirs = golden.integers("q");
  std::vector<double> our_scales = weight.scales(), their_scales = weight.theirs("scale");
  std::vector<bool> same(ours.size());
  if (theirs.size() != ours.size()) return Outcome::fail("codes of another size");
  for (std::size_t i = 0; i < ours.size(); ++i) {
    theirs[i] -= lowest_code;
    const bool out = !left_out.empty() && left_out[i];
    if (out) ours[i] = theirs[i], our_scales[i] = their_scales[i];
    same[i] = !out && ours[i] == theirs[i];
  }
  Comparison is(golden);
  is.near("scale", our_scales, their_scales, scale_tolerance)
      .codes_except_ties(ours, theirs, weight.positions(), kTieSlack)
      .near("out", weight.values_where(same), golden.floats("out"), value_tolerance);
  if (left_out.empty()) is.errors(weight.weight(), weight.ours().values, golden.floats("out"));
  return is.outcome();
}

}  // namespace bitplan::test
