#include "tests/golden/golden_case.hpp"

#include <cmath>
#include <cstdlib>
#include <stdexcept>

#include "core/npy.hpp"

namespace bitplan::test {
namespace {

bool is_near(double ours, double theirs, double relative, double absolute) {
  if (std::isnan(ours) || std::isnan(theirs)) return std::isnan(ours) && std::isnan(theirs);
  if (ours == theirs) return true;
  return std::abs(ours - theirs) <= relative * std::abs(theirs) + absolute;
}

std::string shown(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

template <class T>
double mean_squared(std::span<const float> weight, std::span<const T> values) {
  double sum = 0;
  for (std::size_t i = 0; i < weight.size(); ++i) {
    const double error = static_cast<double>(values[i]) - weight[i];
    sum += error * error;
  }
  return weight.empty() ? 0 : sum / static_cast<double>(weight.size());
}

std::vector<double> widened(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace

std::string GoldenCase::name() const {
  return folder.parent_path().filename().string() + "/" + folder.filename().string();
}

bool GoldenCase::has(const std::string& array) const { return std::filesystem::exists(folder / (array + ".npy")); }

Tensor GoldenCase::array(const std::string& name) const { return read_npy(folder / (name + ".npy")); }

Tensor GoldenCase::shared_array(const std::string& key) const {
  const std::string path = text(key);
  if (path.empty()) throw std::runtime_error("meta.json has no " + key);
  return read_npy(folder / path.substr(0, path.find(' ')));
}

std::vector<float> GoldenCase::floats(const std::string& name) const {
  const Tensor tensor = array(name).cast(DType::f32);
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

std::vector<double> GoldenCase::doubles(const std::string& name) const {
  const Tensor tensor = array(name).cast(DType::f64);
  const auto values = tensor.values<double>();
  return {values.begin(), values.end()};
}

std::vector<std::int64_t> GoldenCase::integers(const std::string& name) const {
  const Tensor tensor = array(name).cast(DType::i64);
  const auto values = tensor.values<std::int64_t>();
  return {values.begin(), values.end()};
}

std::optional<std::int64_t> GoldenCase::integer(const std::string& key) const {
  const auto found = meta.find(key);
  if (found == meta.end() || found->is_null()) return std::nullopt;
  return found->get<std::int64_t>();
}

std::optional<double> GoldenCase::number(const std::string& key) const {
  const auto found = meta.find(key);
  if (found == meta.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

std::string GoldenCase::text(const std::string& key) const {
  const auto found = meta.find(key);
  return found != meta.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool GoldenCase::flag(const std::string& key) const {
  const auto found = meta.find(key);
  return found != meta.end() && found->is_boolean() && found->get<bool>();
}

void Comparison::fail(const std::string& reason) {
  outcome_.kind = Outcome::Kind::failed;
  outcome_.reason = reason;
}

bool Comparison::same_size(const std::string& what, std::size_t ours, std::size_t theirs) {
  if (good() && ours != theirs)
    fail(what + ": " + std::to_string(ours) + " values, the reference has " + std::to_string(theirs));
  return good();
}

Comparison& Comparison::near(const std::string& what, std::span<const double> ours, std::span<const double> theirs,
                             double relative, double absolute) {
  if (!same_size(what, ours.size(), theirs.size())) return *this;
  std::size_t bad = 0, first = 0;
  for (std::size_t i = 0; i < ours.size(); ++i)
    if (!is_near(ours[i], theirs[i], relative, absolute) && bad++ == 0) first = i;
  if (bad > 0)
    fail(what + ": " + std::to_string(bad) + " of " + std::to_string(ours.size()) + " differ, first [" +
         std::to_string(first) + "] " + shown(ours[first]) + ", the reference " + shown(theirs[first]));
  return *this;
}

Comparison& Comparison::near(const std::string& what, std::span<const float> ours, std::span<const float> theirs,
                             double relative, double absolute) {
  return near(what, widened(ours), widened(theirs), relative, absolute);
}

Comparison& Comparison::near(const std::string& what, double ours, double theirs, double relative, double absolute) {
  return near(what, std::span(&ours, 1), std::span(&theirs, 1), relative, absolute);
}

Comparison& Comparison::exact(const std::string& what, std::span<const float> ours, std::span<const float> theirs) {
  return near(what, ours, theirs, 0);
}

Comparison& Comparison::codes(std::span<const std::int64_t> ours, std::span<const std::int64_t> theirs) {
  return near("codes", std::vector<double>(ours.begin(), ours.end()), std::vector<double>(theirs.begin(), theirs.end()),
              0);
}

Comparison& Comparison::codes_except_ties(std::span<const std::int64_t> ours, std::span<const std::int64_t> theirs,
                                          std::span<const double> position, double slack, double relative) {
  if (!same_size("codes", ours.size(), theirs.size()) || !same_size("positions", position.size(), ours.size()))
    return *this;
  for (std::size_t i = 0; i < ours.size() && good(); ++i) {
    if (ours[i] == theirs[i]) continue;
    const double fraction = std::abs(position[i] - std::floor(position[i]) - 0.5);
    const bool tie = fraction <= slack + relative * std::abs(position[i]);
    if (std::abs(ours[i] - theirs[i]) != 1 || !tie)
      fail("code " + std::to_string(i) + " is " + std::to_string(ours[i]) + ", the reference " +
           std::to_string(theirs[i]) + ", at " + shown(position[i]) + " steps");
  }
  return *this;
}

Comparison& Comparison::at_most(const std::string& what, double ours, double theirs, double factor) {
  if (good() && !(ours <= factor * theirs))
    fail(what + " " + shown(ours) + " is more than " + shown(factor) + " x the reference's " + shown(theirs));
  if (good()) outcome_.ours = ours, outcome_.reference = theirs;
  return *this;
}

Comparison& Comparison::holds(bool condition, const std::string& what) {
  if (good() && !condition) fail("not so: " + what);
  return *this;
}

Comparison& Comparison::errors(std::span<const float> weight, std::span<const float> ours,
                               std::span<const float> theirs) {
  if (!same_size("values", ours.size(), weight.size()) || !same_size("values", ours.size(), theirs.size()))
    return *this;
  outcome_.ours = mean_squared(weight, ours);
  outcome_.reference = mean_squared(weight, theirs);
  return *this;
}

std::filesystem::path golden_root() {
  const char* data = std::getenv("BITPLAN_DATA");
  const std::filesystem::path root =
      std::filesystem::path(data != nullptr ? data : BITPLAN_SOURCE_DIR "/../shared/data") / "golden";
  return std::filesystem::is_directory(root) ? root : std::filesystem::path();
}

}  // namespace bitplan::test
