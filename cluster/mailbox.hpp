#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/mpi.hpp"
#include "cluster/wire.hpp"

namespace bitplan {

/// How long ranks wait for each other, in seconds.
struct MailboxSpec {
  double heartbeat = 2;    ///< each rank tells rank 0 (and rank 0 all) that it lives
  double patience = 120;   ///< a worker leaves when rank 0 is silent for longer, and for more than five heartbeats
  double leave_after = 5;  ///< a worker that was released ends its process after this, whatever it still computes
};

/// The mail of one rank. The main thread only talks: it sends what other threads post, receives, and sends heartbeats,
/// so that a rank is heard also while it computes for minutes. Everything else runs on the thread of talk_while's body
/// (and on the threads it starts). Waiting sleeps, 0.2 to 2 ms at a time.
///
/// Rank 0 coordinates. Mail for the coordinator (hello, result, departure) is queued for take(); orders for the worker
/// (unit, cancel, release) go to its handler. A message to one's own rank takes the same way without MPI, so one
/// process is the same code as many ranks.
class Mailbox {
 public:
  Mailbox(MpiRuntime& mpi, const MailboxSpec& spec);

  /// Runs body on another thread and talks on this one (the main thread) until body returns; an exception of body comes
  /// out here. When rank 0's body ends, all workers are released and say farewell, so that rank 0 knows who lives. The
  /// other ranks stay until they are released, for the end of one process ends the job of a plain mpirun; an exception
  /// of their body is reported to rank 0 as a departure.
  void talk_while(const std::function<void()>& body);

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Queues a message; any thread.
  void post(int rank, Tag tag, std::vector<std::byte> bytes);
  /// Returns when all that was posted is in the hands of MPI (after 0.1 s at the latest).
  void wait_until_sent();
  /// Rank 0: the next message for the coordinator; waits at most `seconds`.
  std::optional<Message> take(double seconds);
  /// Who handles orders; called on the talking thread or the poster's. Null: nobody, and no call is running any more.
  void handle_orders(std::function<void(const Message&)> handler);
  /// Blocks until rank 0 releases this rank.
  void wait_for_release();

  /// Seconds since construction in which this rank was able to listen: time in which it was stopped does not count, so
  /// a suspended job does not find everyone dead when it wakes up.
  double now() const;
  /// now() when `rank` was last heard; own rank: now().
  double last_heard(int rank) const;
  bool reachable(int rank) const;
  /// Rank 0 does not count on `rank` any more: it is silent. Late mail from it still arrives.
  void give_up(int rank);
  bool given_up(int rank) const;
  /// False when any rank was given up.
  bool all_alive() const;
  /// An evaluation thread that does not stop was left running.
  void leave_thread_behind();
  bool thread_left_behind() const;

  /// The last call of the program on every rank, when all is written. Returns the exit status of rank 0 on every rank
  /// when the program may end the usual way. Otherwise it ends the process here: a dead rank would hold MPI_Finalize
  /// for ever (rank 0 ends the job by MPI_Abort), and a thread that was left behind would run into destructors.
  int finish(int status);

 private:
  struct Peer {
    double heard = 0;
    bool given_up = false, reachable = true, farewell = false;
  };
  struct Outgoing {
    int rank;
    Tag tag;
    std::vector<std::byte> bytes;
  };

  void coordinate_end();
  void follow_to_end();
  void talk_until(const std::function<bool()>& done);  ///< done() is called under the mutex
  void send_last_mail();
  bool exchange();  ///< one round of sending and receiving; true when there was any
  void deliver(Message message);
  void note_release();
  void keep_time();
  void send_heartbeats();
  void leave_if_alone();

  MpiRuntime& mpi_;
  MailboxSpec spec_;
  int rank_, size_;
  mutable std::mutex mutex_;  ///< of all below but handler_
  std::condition_variable posted_, arrived_, released_now_, sent_;
  std::uint64_t posted_count_ = 0, sent_count_ = 0;
  std::deque<Outgoing> outgoing_;
  std::deque<Message> incoming_;
  std::vector<Peer> peers_;
  double now_ = 0, last_tick_ = 0, next_heartbeat_ = 0, released_at_ = 0;
  bool released_ = false, body_ended_ = false, thread_left_behind_ = false;
  std::optional<Goodbye> goodbye_;
  std::mutex handler_mutex_;
  std::function<void(const Message&)> handler_;
};

}  // namespace bitplan
