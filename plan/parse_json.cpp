#include "plan/parse_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace bitplan {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostShown = 40;

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '+' || c == '-';
}

/// The word that a byte belongs to, or that sign alone.
std::string word_at(const std::string& text, std::size_t at) {
  if (!is_word(text[at])) return text.substr(at, 1);
  auto begin = at, end = at;
  while (begin > 0 && is_word(text[begin - 1])) --begin;
  while (end < text.size() && is_word(text[end])) ++end;
  return text.substr(begin, std::min(end - begin, kMostShown));
}

/// NaN, -inf, Infinity, as programs write what is no number of JSON.
bool is_no_number(std::string word) {
  word.erase(0, word.find_first_not_of("+-"));
  std::transform(word.begin(), word.end(), word.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  return word == "nan" || word == "inf" || word == "infinity";
}

std::string problem_at(const std::string& text, std::size_t at) {
  if (at >= text.size()) return "it ends too early";
  const auto word = word_at(text, at);
  const auto sign = static_cast<unsigned char>(word.front());
  if (sign < 0x20 || sign >= 0x7F) return "byte " + std::to_string(at + 1) + " of the file cannot stand there";
  return "'" + word +
         (is_no_number(word) ? "' stands there; JSON has neither NaN nor Infinity" : "' cannot stand there");
}

[[noreturn]] void fail(const std::string& file, const std::string& text, std::size_t at, const std::string& problem) {
  const auto lines =
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(at, text.size())), '\n');
  throw InputError(file + ':' + std::to_string(lines + 1) + ": is not valid JSON: " + problem);
}

}  // namespace

Json parse_json(const std::string& file, const std::string& text) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    const std::size_t at = e.byte > 0 ? e.byte - 1 : 0;  // it counts from 1
    fail(file, text, at, problem_at(text, at));
  } catch (const Json::out_of_range& e) {  // "… number overflow parsing '1e999'"
    const std::string what = e.what();
    const auto begin = std::min(what.find('\''), what.size() - 1) + 1;
    const auto number = what.substr(begin, what.rfind('\'') - begin);
    fail(file, text, text.find(number), "the number '" + number + "' is too large");
  }
}

}  // namespace bitplan
