#include "cluster/run_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "core/error.hpp"

namespace bitplan {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "an unknown host";
}

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

/// "PID HOST" as the holder wrote it.
RunLock::Holder read_holder(int descriptor) {
  std::array<char, 300> text{};
  const auto size = pread(descriptor, text.data(), text.size() - 1, 0);
  const std::string line(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto space = line.find(' ');
  RunLock::Holder holder{.pid = "?", .host = "an unknown host"};
  if (space != std::string::npos) {
    holder.pid = line.substr(0, space);
    holder.host = line.substr(space + 1, line.find('\n') - space - 1);
  }
  holder.this_host = holder.host == host_name();
  return holder;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& directory) {
  const auto file = directory / "run.lock";
  descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw InputError(file.string() + ": cannot be written: " + std::strerror(errno));
  auto lock = whole_file(F_WRLCK);
  if (fcntl(descriptor_, F_OFD_SETLK, &lock) == 0) {
    const std::string line = std::to_string(getpid()) + ' ' + host_name() + '\n';
    if (ftruncate(descriptor_, 0) == 0 &&
        pwrite(descriptor_, line.data(), line.size(), 0) == static_cast<ssize_t>(line.size()))
      return;
  }
  const int reason = errno;
  const Holder other = read_holder(descriptor_);
  close(descriptor_);
  if (reason == EAGAIN || reason == EACCES)
    throw InputError(directory.string() + ": is in use by process " + other.pid + " on " + other.host);
  throw std::runtime_error(file.string() + ": cannot be locked: " + std::strerror(reason));
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

RunLock::RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

std::optional<RunLock::Holder> RunLock::holder(const std::filesystem::path& directory) {
  const int descriptor = open((directory / "run.lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  auto lock = whole_file(F_WRLCK);
  std::optional<Holder> holder;
  if (fcntl(descriptor, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK) holder = read_holder(descriptor);
  close(descriptor);
  return holder;
}

}  // namespace bitplan
