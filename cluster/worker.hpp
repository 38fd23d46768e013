#pragma once

#include <memory>

#include "cluster/mailbox.hpp"
#include "cluster/work_unit.hpp"

namespace bitplan {

/// The evaluation thread of a rank: announces itself, measures the units it is given one after the other and posts each
/// result to rank 0. The coordinator keeps one unit waiting behind the one that runs, so the thread does not wait for
/// the mail. Exceptions of a unit become results; nothing but the end of the run ends the thread.
class Worker {
 public:
  Worker(Mailbox& mail, MeasureUnit measure, const Hello& hello);
  /// Stops the running unit and ends the thread. When the unit does not stop within 3 s the thread is left behind
  /// (Mailbox::leave_thread_behind), and Mailbox::finish ends the process; until then the mailbox must live.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
  Mailbox& mail_;
  void stop();
};

/// The whole life of a rank other than 0: works until rank 0 releases it. To be called inside Mailbox::talk_while.
void serve(Mailbox& mail, MeasureUnit measure, const Hello& hello);

}  // namespace bitplan
