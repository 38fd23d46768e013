#pragma once

#include <string>
#include <vector>

namespace bitplan {

/// A table for people: columns as wide as their widest cell, numbers right-aligned, a line under the head.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// printf-style for one number: fixed(1.2345, 2) == "1.23".
std::string fixed(double value, int digits);
/// Four significant digits, as losses are shown.
std::string significant(double value);

}  // namespace bitplan
