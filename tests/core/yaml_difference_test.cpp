#include "core/yaml_difference.hpp"

#include "tests/catch.hpp"

using namespace bitplan;

namespace {

/// "path: was -> now" of the first difference.
std::string difference(const std::string& was, const std::string& now,
                       const std::vector<std::string_view>& except = {}) {
  const auto found = first_difference(Yaml::parse_text(was, "was"), Yaml::parse_text(now, "now"), except);
  if (!found) return "equal";
  return found->path + ": " + found->was.value_or("nothing") + " -> " + found->now.value_or("nothing");
}

}  // namespace

TEST_CASE("the first difference of two documents is named by its path, with both values") {
  CHECK(difference("a: 1\nb: [x, {c: 2}]\n", "a: 1\nb: [x, {c: 3}]\n") == "b[1].c: 2 -> 3");
  CHECK(difference("a: 1\n", "a: 1\nb: {c: [1, 2]}\n") == "b: nothing -> {c: [1, 2]}");
  CHECK(difference("b: 2\na: 1\n", "a: 1\n") == "b: 2 -> nothing");
  CHECK(difference("a: [1, 2]\n", "a: [1]\n") == "a[1]: 2 -> nothing");
  CHECK(difference("a: [1]\n", "a: 1\n") == "a: [1] -> 1");
  CHECK(difference("a: ~\n", "a: 1\n") == "a: null -> 1");
  CHECK(difference("a: 1\nb: 1\n", "b: 2\na: 2\n") == "b: 1 -> 2");
}

TEST_CASE("documents that differ in layout, the order of keys or an excepted key are equal") {
  CHECK(difference("a: 1\nb:\n  c: [1, 2]\n", "b: {c: [1, \"2\"]}\na: 1\n") == "equal");
  CHECK(difference("a: 1\nb: 1\n", "a: 1\nc: 1\n", {"b", "c"}) == "equal");
}

TEST_CASE("a long value is cut between characters") {
  std::string text = "x";
  for (int i = 0; i < 60; ++i) text += "\xc3\xbc";
  const auto found = difference("a: " + text + "\n", "a: 1\n");
  CHECK(found == "a: " + text.substr(0, 79) + "... -> 1");
}
