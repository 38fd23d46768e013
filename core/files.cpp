#include "core/files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/error.hpp"

namespace bitplan {

std::string read_text(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) throw InputError(file.string() + ": is a folder, a file is needed");
  std::ifstream in(file, std::ios::binary);
  if (!in) throw InputError(file.string() + ": cannot be read: " + std::strerror(errno));
  std::ostringstream content;
  content << in.rdbuf();
  if (in.bad()) throw InputError(file.string() + ": reading failed: " + std::strerror(errno));
  return std::move(content).str();
}

namespace {

[[noreturn]] void fail_write(const std::filesystem::path& file, int error) {
  throw std::runtime_error(file.string() + ": cannot be written: " + std::strerror(error));
}

/// A file descriptor that is closed on every way out.
struct Descriptor {
  int fd;
  ~Descriptor() { if (fd >= 0) ::close(fd); }
};

}  // namespace

void write_text_atomically(const std::filesystem::path& file, std::string_view content) {
  auto beside = file;
  beside += ".tmp" + std::to_string(::getpid());
  {
    Descriptor out{::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (out.fd < 0) fail_write(file, errno);
    while (!content.empty()) {
      const auto written = ::write(out.fd, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        const int error = errno;
        ::unlink(beside.c_str());
        fail_write(file, error);
      }
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fsync(out.fd) != 0) {
      const int error = errno;
      ::unlink(beside.c_str());
      fail_write(file, error);
    }
  }
  if (::rename(beside.c_str(), file.c_str()) != 0) {
    const int error = errno;
    ::unlink(beside.c_str());
    fail_write(file, error);
  }
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& file) {
  const Descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (in.fd < 0) throw InputError(file.string() + ": cannot be read: " + std::strerror(errno));
  struct stat info {};
  if (::fstat(in.fd, &info) != 0) throw InputError(file.string() + ": cannot be read: " + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) throw InputError(file.string() + ": is not a regular file");
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->size_ = static_cast<std::size_t>(info.st_size);
  if (mapped->size_ > 0) {
    void* data = ::mmap(nullptr, mapped->size_, PROT_READ, MAP_PRIVATE, in.fd, 0);
    if (data == MAP_FAILED) throw InputError(file.string() + ": cannot be mapped: " + std::strerror(errno));
    mapped->data_ = static_cast<const std::byte*>(data);
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace bitplan
