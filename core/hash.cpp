#include "core/hash.hpp"

#include <openssl/sha.h>
#include <xxhash.h>

#include "core/files.hpp"

namespace bitplan {

std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t hash64(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

namespace {

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const auto b : bytes) {
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

}  // namespace

std::string hex(std::uint64_t value) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(value >> (56 - 8 * i));
  return hex_of(bytes);
}

std::string sha256_file(const std::filesystem::path& file) {
  const auto mapped = MappedFile::open(file);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(mapped->bytes().data()), mapped->bytes().size(), digest);
  return hex_of(digest);
}

}  // namespace bitplan
