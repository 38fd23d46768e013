#include "hwmodels/csv.hpp"

#include <string_view>

#include "core/error.hpp"
#include "core/files.hpp"

namespace bitplan {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// Takes the quoted field at the front of `rest`, which starts with a quote, and what follows up to the comma.
std::string take_quoted(std::string_view& rest, const std::string& place) {
  std::string field;
  std::size_t at = 1;
  for (;; ++at) {
    if (at >= rest.size()) throw InputError(place + ": a quote is not closed");
    if (rest[at] != '"') {
      field += rest[at];
    } else if (at + 1 < rest.size() && rest[at + 1] == '"') {
      field += rest[at++];
    } else {
      break;
    }
  }
  const auto comma = rest.find(',', at);
  if (!trimmed(rest.substr(at + 1, comma == std::string_view::npos ? comma : comma - at - 1)).empty())
    throw InputError(place + ": text follows a closing quote");
  rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma);
  return field;
}

std::vector<std::string> split(std::string_view rest, const std::string& place) {
  std::vector<std::string> fields;
  for (;;) {
    rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
    if (!rest.empty() && rest.front() == '"') {
      fields.push_back(take_quoted(rest, place));
    } else {
      const auto comma = std::min(rest.find(','), rest.size());
      fields.emplace_back(trimmed(rest.substr(0, comma)));
      rest.remove_prefix(comma);
    }
    if (rest.empty()) return fields;
    rest.remove_prefix(1);  // the comma
  }
}

}  // namespace

std::vector<CsvRow> read_csv(const std::filesystem::path& file) {
  const std::string content = read_text(file);
  std::string_view rest = content;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  std::vector<CsvRow> rows;
  for (int line = 1; !rest.empty(); ++line) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const auto text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (trimmed(text).find_first_not_of(", \t") == std::string_view::npos) continue;
    rows.push_back({line, split(text, file.string() + ':' + std::to_string(line))});
  }
  return rows;
}

}  // namespace bitplan
