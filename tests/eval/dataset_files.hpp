#pragma once
// Files and networks for the tests of data sets.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "eval/data/dataset.hpp"

namespace bitplan::test {

/// A folder of this process's own, removed at the end.
struct TempFolder {
  std::filesystem::path path;
  explicit TempFolder(const std::string& name)
      : path(std::filesystem::temp_directory_path() / ("bitplan_" + name + "_" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~TempFolder() { std::filesystem::remove_all(path); }

  std::filesystem::path put(const std::string& name, const std::string& content) const {
    const auto file = path / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }
};

/// Bytes from hexadecimal digits.
inline std::string bytes_of(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

/// A network of which a data set sees only inputs and outputs: input "x", output "y".
inline Network facade(Shape input, Shape output, DType dtype = DType::f32) {
  Network net;
  net.batch = input.empty() ? 1 : input[0];
  net.tensors.resize(2);
  net.tensors[0].name = "x";
  net.tensors[0].dtype = dtype;
  net.tensors[0].shape = std::move(input);
  net.tensors[1].name = "y";
  net.tensors[1].shape = std::move(output);
  net.inputs = {0};
  net.outputs = {1};
  return net;
}

/// The spec that stands as `data` in a YAML text; paths are relative to `folder`.
inline DataSpec spec_of(const std::string& yaml, const std::filesystem::path& folder = {}) {
  return DataSpec::from(Yaml::parse_text("data: " + yaml + "\n", (folder / "exp.yaml").string()).at("data"));
}

/// The shared data of the project, or an empty path when they are not there.
inline std::filesystem::path shared_data() {
  const char* folder = std::getenv("BITPLAN_DATA");
  const std::filesystem::path path = folder != nullptr ? folder : BITPLAN_SOURCE_DIR "/../shared/data";
  return std::filesystem::is_directory(path) ? path : std::filesystem::path();
}

}  // namespace bitplan::test
