#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bitplan {

/// The whole file. Throws InputError naming it when it is missing or unreadable.
std::string read_text(const std::filesystem::path& file);

/// Replaces `file` in one step (write beside it, fsync, rename): a reader sees the old or the new content, never a
/// part. Throws std::runtime_error naming file and reason (disk full, no permission).
void write_text_atomically(const std::filesystem::path& file, std::string_view content);

/// A file mapped into memory, read only. Throws InputError when it cannot be opened.
class MappedFile {
 public:
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bitplan
