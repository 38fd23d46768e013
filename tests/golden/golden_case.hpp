#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.hpp"

namespace bitplan::test {

/// One golden case: a folder with meta.json and .npy arrays, made by the implementation that `meta.source` names.
struct GoldenCase {
  std::filesystem::path folder;
  nlohmann::json meta;

  std::string name() const;  ///< "uniform/torch_tensor_affine_u4"
  bool has(const std::string& array) const;
  Tensor array(const std::string& name) const;  ///< NAME.npy; throws when it is missing
  /// An array that several cases share: the path in meta.`key`, relative to the case; what stands after a blank is a
  /// remark.
  Tensor shared_array(const std::string& key) const;
  std::vector<float> floats(const std::string& name) const;
  std::vector<double> doubles(const std::string& name) const;
  std::vector<std::int64_t> integers(const std::string& name) const;
  Shape shape(const std::string& name) const { return array(name).shape(); }

  /// Values of meta; absent and null are nothing.
  std::optional<std::int64_t> integer(const std::string& key) const;
  std::optional<double> number(const std::string& key) const;
  std::string text(const std::string& key) const;  ///< "" when absent
  bool flag(const std::string& key) const;         ///< false when absent
};

/// What became of a case.
struct Outcome {
  enum class Kind : std::uint8_t { passed, failed, not_taken };
  Kind kind = Kind::passed;
  std::string reason;
  /// Error of ours and of the reference (squared error, loss …), where the method has one.
  std::optional<double> ours, reference;

  static Outcome pass() { return {}; }
  static Outcome fail(std::string reason) { return {Kind::failed, std::move(reason), {}, {}}; }
  static Outcome skip(std::string reason) { return {Kind::not_taken, std::move(reason), {}, {}}; }
};

/// Compares one thing after the other and keeps the first difference:
///
///   Comparison is(c);
///   is.codes(ours, c.integers("q")).near("out", values, c.floats("out"), 1e-6);
///   return is.outcome();
class Comparison {
 public:
  explicit Comparison(const GoldenCase& golden) : golden_(golden) {}

  /// |ours - theirs| <= relative |theirs| + absolute, element by element; equal infinities and NaN are equal.
  Comparison& near(const std::string& what, std::span<const double> ours, std::span<const double> theirs,
                   double relative, double absolute = 0);
  Comparison& near(const std::string& what, std::span<const float> ours, std::span<const float> theirs, double relative,
                   double absolute = 0);
  Comparison& near(const std::string& what, double ours, double theirs, double relative, double absolute = 0);
  /// Equal values; 0 and -0 are equal.
  Comparison& exact(const std::string& what, std::span<const float> ours, std::span<const float> theirs);
  Comparison& codes(std::span<const std::int64_t> ours, std::span<const std::int64_t> theirs);
  /// Codes that may differ by one where `position`, the value in steps before rounding, is within `slack` + `relative`
  /// x |position| of a tie: implementations divide by the scale or multiply by its reciprocal.
  Comparison& codes_except_ties(std::span<const std::int64_t> ours, std::span<const std::int64_t> theirs,
                                std::span<const double> position, double slack, double relative = 1e-6);
  /// ours <= factor x theirs.
  Comparison& at_most(const std::string& what, double ours, double theirs, double factor);
  Comparison& holds(bool condition, const std::string& what);
  /// Records mean squared errors of both against `weight`, for the table of methods.
  Comparison& errors(std::span<const float> weight, std::span<const float> ours, std::span<const float> theirs);

  Outcome outcome() const { return outcome_; }

 private:
  bool good() const { return outcome_.kind == Outcome::Kind::passed; }
  void fail(const std::string& reason);
  bool same_size(const std::string& what, std::size_t ours, std::size_t theirs);

  const GoldenCase& golden_;
  Outcome outcome_;
};

/// <BITPLAN_DATA>/golden, or that of the checkout's neighbour; empty when there is none.
std::filesystem::path golden_root();

}  // namespace bitplan::test
