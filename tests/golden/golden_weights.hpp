#pragma once

#include <string>
#include <vector>

#include "quant/formats/levels.hpp"
#include "quant/weight_quantizer.hpp"
#include "tests/golden/golden_case.hpp"

namespace bitplan::test {

/// A case that quantizes `weight` and what this library makes of it under a choice.
class WeightCase {
 public:
  /// Channels along `axis` of the weight (negative: from the end).
  WeightCase(const GoldenCase& golden, const std::string& choice, int axis = 0);
  WeightCase(const GoldenCase& golden, const Choice& choice, const WeightView& view);

  const std::vector<float>& weight() const { return weight_; }
  const QuantizedWeight& ours() const { return ours_; }
  std::vector<std::int64_t> codes() const { return {ours_.codes.begin(), ours_.codes.end()}; }
  /// A value of each part of ours, by element.
  std::vector<double> by_element(const std::vector<double>& by_part) const;
  std::vector<double> scales() const;
  std::vector<double> zero_points() const;  ///< of integers
  /// An array of the case that broadcasts over meta.view (or the weight's shape), by element.
  std::vector<double> theirs(const std::string& array) const;
  /// weight / scale + shift in steps of ours, for ties.
  std::vector<double> positions(double shift = 0) const;
  /// Our values, theirs where `same` is false: a tie that went the other way is a whole step.
  std::vector<float> values_where(const std::vector<bool>& same) const;

 private:
  const GoldenCase& golden_;
  std::vector<float> weight_;
  Shape shape_;
  WeightView view_;
  Choice choice_;
  QuantizedWeight ours_;
};

/// A choice of weights; with other bits than the format's name says, which cases may have and the table has not.
Choice choice_of(const std::string& text);
Choice choice_of(const std::string& text, std::int64_t bits);

/// Whether each value is so near to the bound between two levels that another order of operations may decide otherwise.
std::vector<bool> near_bounds(const Levels& levels, const std::vector<double>& positions);

/// "" for the whole tensor as one part, else ":channel" or ":gN", from meta.axis and meta.group_size.
std::string granularity_of(const GoldenCase& golden);

/// Codes but for ties, scales to `scale_tolerance`, values to `value_tolerance`, and the errors of both. Theirs are
/// shifted by their lowest code. Parts for which `left_out` (by element) is true are not compared.
Outcome compare_weight(const GoldenCase& golden, const WeightCase& weight, double scale_tolerance,
                       double value_tolerance, std::int64_t lowest_code = 0, const std::vector<bool>& left_out = {});

}  // namespace bitplan::test
