#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace bitplan {

/// The sole right to write a run directory, held while the object lives: a lock on the file `run.lock`, which the
/// system drops when the process ends, however it ends (an open-file-description lock, on network file systems too).
class RunLock {
 public:
  /// Throws InputError "… is in use by process 123 on node7" when another process holds it.
  explicit RunLock(const std::filesystem::path& directory);
  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// Who holds the lock of a directory now; nothing when nobody does. Does not take the lock.
  struct Holder {
    std::string pid, host;
    bool this_host = false;
  };
  static std::optional<Holder> holder(const std::filesystem::path& directory);

 private:
  int descriptor_ = -1;
};

}  // namespace bitplan
