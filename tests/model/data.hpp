#pragma once
// Where the public models and data are found.

#include <cstdlib>
#include <filesystem>

#include "tests/catch.hpp"

namespace bitplan::test {

/// A folder of the shared data; empty, with a warning, when it is not there.
inline std::filesystem::path data_folder(const std::string& name) {
  const char* root = std::getenv("BITPLAN_DATA");
  const std::filesystem::path folder = std::filesystem::path(root ? root : BITPLAN_SOURCE_DIR "/../shared/data") / name;
  if (std::filesystem::is_directory(folder)) return folder;
  WARN(folder.string() + " is not there: skipped");
  return {};
}

}  // namespace bitplan::test
