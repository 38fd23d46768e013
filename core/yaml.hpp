#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/units.hpp"

namespace bitplan {

/// A node of a YAML document, read strictly. It knows where it stands, so each error reads
/// `exp.yaml:12:7: space.weights.choices[3]: 'int9' is not a choice; known: …` (InputError).
/// Duplicate keys are errors when the document is parsed; unknown keys when only() is called.
/// The only reader of yaml-cpp.
class Yaml {
 public:
  static Yaml parse_file(const std::filesystem::path& file);
  static Yaml parse_text(const std::string& text, const std::string& file_name);

  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;

  /// Map: the value of a key that must be there / may be there.
  Yaml at(std::string_view key) const;
  std::optional<Yaml> find(std::string_view key) const;
  /// Map: keys in the order of the file. Fails when this is no map.
  std::vector<std::string> keys() const;
  /// List: its items. Fails when this is no list.
  std::vector<Yaml> items() const;
  /// Map: any other key is an error which names the nearest known one.
  void only(std::initializer_list<std::string_view> known) const;
  void only(const std::vector<std::string>& known) const;

  /// Scalars; each fails with "must be …" naming the value found.
  std::string text() const;
  double number() const;
  double number_in(double low, double high) const;
  std::int64_t integer() const;
  std::int64_t integer_in(std::int64_t low, std::int64_t high) const;
  bool boolean() const;  ///< true or false only, no YAML 1.1 "yes"
  Quantity quantity() const;
  double seconds() const;  ///< a time with unit, or a plain number of seconds
  /// A path: ${env:NAME} and ${env:NAME:-default} replaced, relative ones taken from the document's folder.
  std::filesystem::path path() const;

  [[noreturn]] void fail(const std::string& problem) const;
  const std::string& key_path() const;  ///< "space.weights.choices[3]"
  std::string place() const;            ///< "exp.yaml:12:7"

  /// A document where the value at `assignment` ("search[1].evaluations=50", right side is YAML) is replaced. Errors
  /// cite "--set search[1].evaluations".
  Yaml with(const std::string& assignment) const;
  /// The document as YAML text (comments are gone).
  std::string dump() const;

 private:
  struct Impl;
  explicit Yaml(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// The entry of `known` that is nearest to `word` by edit distance, for "did you mean".
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace bitplan
