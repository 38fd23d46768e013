#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitplan {

/// Bytes from one rank to another. Messages of one rank arrive in the order in which it sent them.
struct Message {
  int rank = 0;  ///< who sent it
  int tag = 0;
  std::vector<std::byte> bytes;
};

/// MPI for the lifetime of this object: one a process, made and used by the main thread only (MPI_THREAD_FUNNELED).
/// Without mpirun it is one rank. Errors of MPI are std::runtime_error with MPI's text.
class MpiRuntime {
 public:
  MpiRuntime();
  ~MpiRuntime();  ///< MPI_Finalize: waits for all ranks
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;

  int rank() const;
  int size() const;

  /// Rank 0 calls on_rank_0; every rank gets its text. When it throws (InputError or another std::exception), every
  /// rank throws the same. Collective; on_rank_0 may take long, the others wait asleep.
  std::string broadcast(const std::function<std::string()>& on_rank_0);

  /// Hands bytes to MPI and returns at once; they are kept until MPI is done with them, for ever when `rank` is dead.
  void send(int rank, int tag, std::vector<std::byte> bytes);
  /// The next message that has arrived whole, if any. Never waits. Also pushes unfinished sends along.
  std::optional<Message> poll();
  /// Sends to `rank` that MPI has not finished.
  std::size_t unsent(int rank) const;
  /// False once MPI refused to send to or receive from this rank.
  bool reachable(int rank) const;

  /// Ends all ranks at once (MPI_Abort).
  [[noreturn]] void abort(int status);
  /// Ends this process at once. With `finalize` MPI is shut down first, which waits for all ranks; without it a dead
  /// rank cannot hold us. No destructors run; output streams are flushed.
  [[noreturn]] void leave(int status, bool finalize);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bitplan
