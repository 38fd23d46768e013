#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace bitplan {

/// XXH3 of bytes, 64 bits.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash64(std::string_view text, std::uint64_t seed = 0);
/// 16 hexadecimal digits.
std::string hex(std::uint64_t value);
/// SHA-256 of a file's content, 64 hexadecimal digits. Throws InputError when it cannot be read.
std::string sha256_file(const std::filesystem::path& file);

}  // namespace bitplan
