#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>

#include "tests/catch.hpp"
#include "tests/golden/golden_methods.hpp"

using namespace bitplan::test;

namespace {

std::vector<std::filesystem::path> folders_in(const std::filesystem::path& parent) {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(parent))
    if (entry.is_directory()) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

/// Folders whose name starts with _ hold arrays that cases share.
bool is_shared(const std::filesystem::path& folder) { return folder.filename().string().starts_with('_'); }

Outcome outcome_of(const GoldenMethod* method, bool later, const std::filesystem::path& folder) {
  if (method == nullptr)
    return later ? Outcome::skip("the method is not built yet") : Outcome::fail("no rule covers this folder");
  try {
    std::ifstream file(folder / "meta.json");
    if (!file) return Outcome::fail("there is no meta.json");
    return method->check({folder, nlohmann::json::parse(file)});
  } catch (const std::exception& error) {
    return Outcome::fail(error.what());
  }
}

struct Counts {
  int passed = 0, failed = 0, not_taken = 0;
  double worst_ratio = 0;  ///< our error / the reference's
  bool any_ratio = false;
  std::set<std::string> reasons;

  void add(const Outcome& outcome) {
    (outcome.kind == Outcome::Kind::passed ? passed : outcome.kind == Outcome::Kind::failed ? failed : not_taken) += 1;
    if (outcome.kind == Outcome::Kind::not_taken) reasons.insert(outcome.reason);
    if (!outcome.ours || !outcome.reference || !(*outcome.reference > 0)) return;
    any_ratio = true;
    worst_ratio = std::max(worst_ratio, *outcome.ours / *outcome.reference);
  }
  void print(const std::string& folder) const {
    std::printf("golden %s: %d passed, %d failed, %d not taken\n", folder.c_str(), passed, failed, not_taken);
    if (any_ratio) std::printf("    largest error, ours / the reference's: %.6g\n", worst_ratio);
    for (const auto& reason : reasons) std::printf("    not taken: %s\n", reason.c_str());
    std::fflush(stdout);
  }
};

/// Every case of one method folder; shared data alone is no method.
void check_folder(const std::filesystem::path& folder) {
  const std::string name = folder.filename().string();
  const auto methods = golden_methods();
  const auto method = std::find_if(methods.begin(), methods.end(), [&](const auto& m) { return m.folder == name; });
  const auto later = later_folders();
  const bool is_later = std::find(later.begin(), later.end(), name) != later.end();
  Counts counts;
  for (const auto& golden : folders_in(folder)) {
    if (is_shared(golden)) continue;
    const Outcome outcome = outcome_of(method == methods.end() ? nullptr : &*method, is_later, golden);
    counts.add(outcome);
    INFO(name << "/" << golden.filename().string() << ": " << outcome.reason);
    CHECK(outcome.kind != Outcome::Kind::failed);
  }
  if (counts.passed + counts.failed + counts.not_taken > 0) counts.print(name);
}

}  // namespace

TEST_CASE("every golden case is reproduced within its tolerance or not taken for a stated reason") {
  const auto root = golden_root();
  if (root.empty()) {
    WARN("no golden data: set BITPLAN_DATA");
    return;
  }
  for (const auto& folder : folders_in(root)) {
    if (is_shared(folder)) continue;
    DYNAMIC_SECTION(folder.filename().string()) { check_folder(folder); }
  }
}

TEST_CASE("a method folder has a check or waits, not both") {
  std::set<std::string_view> names;
  for (const auto& method : golden_methods()) CHECK(names.insert(method.folder).second);
  for (const auto folder : later_folders()) CHECK(names.insert(folder).second);
}
