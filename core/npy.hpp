#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/tensor.hpp"

namespace bitplan {

/// Reads a NumPy .npy file (format 1.0–3.0; little-endian numbers and bool; C or Fortran order).
/// Throws InputError naming the file when it is missing, damaged, shorter than its header says, or of another type.
Tensor read_npy(const std::filesystem::path& file);

/// All members of an .npz archive (stored or deflated), by name without ".npy".
std::map<std::string, Tensor> read_npz(const std::filesystem::path& file);

/// Writes format 1.0, C order. Throws std::runtime_error when the disk refuses.
void write_npy(const std::filesystem::path& file, const Tensor& tensor);
void write_npz(const std::filesystem::path& file, const std::map<std::string, Tensor>& members);

}  // namespace bitplan
