#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

namespace bitplan::test {

/// A fresh folder for one test, removed at its end. Named after the process too, since tests run side by side.
struct Folder {
  std::filesystem::path path;
  explicit Folder(const std::string& name)
      : path(std::filesystem::temp_directory_path() / ("bitplan_" + name + "_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

}  // namespace bitplan::test
