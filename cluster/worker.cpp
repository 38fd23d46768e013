#include "cluster/worker.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "core/error.hpp"

namespace bitplan {
namespace {

constexpr auto kStopWait = std::chrono::seconds(3);

UnitResult measure_unit(const MeasureUnit& measure, const WorkUnit& unit, const std::atomic<bool>& stop) {
  UnitResult result{.id = unit.id};
  const auto begin = std::chrono::steady_clock::now();
  try {
    result.sums = measure(unit, stop);
    if (result.sums.size() != static_cast<std::size_t>(unit.chunks.count))
      throw std::logic_error("an evaluation gave " + std::to_string(result.sums.size()) + " sums for " +
                             std::to_string(unit.chunks.count) + " chunks");
  } catch (const Interrupted& e) {
    result = {.id = unit.id, .status = UnitResult::Status::cancelled, .text = e.what()};
  } catch (const InputError& e) {
    result = {.id = unit.id, .status = UnitResult::Status::input_error, .text = e.what()};
  } catch (const std::exception& e) {
    result = {.id = unit.id, .status = UnitResult::Status::failed, .text = e.what()};
  } catch (...) {
    result = {.id = unit.id, .status = UnitResult::Status::failed, .text = "unknown exception"};
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace

/// Shared with the thread, which may outlive the Worker when an evaluation does not stop.
struct Worker::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<WorkUnit> queue;
  std::uint64_t running = 0;       ///< unit id, 0 = none
  std::atomic<bool> stop = false;  ///< of the running unit
  bool closing = false, ended = false;
  MeasureUnit measure;
  Mailbox* mail = nullptr;
  std::thread thread;

  void evaluate() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return closing || !queue.empty(); });
      if (closing) break;
      const WorkUnit unit = std::move(queue.front());
      queue.pop_front();
      running = unit.id;
      stop = false;
      lock.unlock();
      const UnitResult result = measure_unit(measure, unit, stop);
      mail->post(0, Tag::result, encode(result));
      mail->wait_until_sent();  // should the next unit kill us, rank 0 must know that it was not this one
      lock.lock();
      running = 0;
    }
    ended = true;
    changed.notify_all();
  }

  void cancel(std::uint64_t id) {
    {
      const std::lock_guard lock(mutex);
      if (running == id) stop = true;
      const auto it = std::find_if(queue.begin(), queue.end(), [&](const WorkUnit& unit) { return unit.id == id; });
      if (it == queue.end()) return;
      queue.erase(it);
    }
    const UnitResult result{.id = id, .status = UnitResult::Status::cancelled, .text = "cancelled before it began"};
    mail->post(0, Tag::result, encode(result));
  }

  void close() {
    const std::lock_guard lock(mutex);
    closing = true;
    stop = true;
    changed.notify_all();
  }

  void order(const Message& message) {
    switch (static_cast<Tag>(message.tag)) {
      case Tag::unit: {
        WorkUnit unit = decode_unit(message.bytes);
        const std::lock_guard lock(mutex);
        queue.push_back(std::move(unit));
        changed.notify_all();
        break;
      }
      case Tag::cancel:
        cancel(decode_id(message.bytes));
        break;
      default:
        close();
        break;  // release
    }
  }
};

Worker::Worker(Mailbox& mail, MeasureUnit measure, const Hello& hello)
    : state_(std::make_shared<State>()), mail_(mail) {
  state_->measure = std::move(measure);
  state_->mail = &mail;
  state_->thread = std::thread([state = state_] { state->evaluate(); });
  mail.handle_orders([state = state_](const Message& message) { state->order(message); });
  mail.post(0, Tag::hello, encode(hello));
}

Worker::~Worker() { stop(); }

void Worker::stop() {
  mail_.handle_orders(nullptr);
  state_->close();
  if (!state_->thread.joinable()) return;
  bool ended = false;
  {
    std::unique_lock lock(state_->mutex);
    ended = state_->changed.wait_for(lock, kStopWait, [&] { return state_->ended; });
  }
  if (ended) {
    state_->thread.join();
    return;
  }
  mail_.leave_thread_behind();
  state_->thread.detach();
}

void serve(Mailbox& mail, MeasureUnit measure, const Hello& hello) {
  const Worker worker(mail, std::move(measure), hello);
  mail.wait_for_release();
}

}  // namespace bitplan
