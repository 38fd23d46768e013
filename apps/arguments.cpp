#include "apps/arguments.hpp"

#include <charconv>

#include "core/error.hpp"

namespace bitplan {

NameValue split_assignment(const std::string& text, const std::string& option) {
  const auto equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw UsageError(option + " needs NAME=VALUE, got '" + text + "'");
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Shape parse_shape(const std::string& text, const std::string& whole) {
  Shape shape;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find_first_of("x,", at), text.size());
    const auto word = text.substr(at, end - at);
    std::int64_t d = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), d);
    if (word == "N") d = -1;
    else if (error != std::errc{} || stop != word.data() + word.size() || d < 1)
      throw UsageError("--shape needs NAME=1x3x32x32, got '" + whole + "'");
    shape.push_back(d);
    at = end + 1;
  }
  return shape;
}

FinishSpec parse_finish(const std::vector<std::string>& passes) {
  try {
    return finish_named(passes);
  } catch (const InputError& e) {
    std::string text;
    for (const auto& pass : passes) text.append(text.empty() ? "" : ",").append(pass);
    throw UsageError("--finish '" + text + "': may have " + e.what());
  }
}

}  // namespace bitplan
