#include "cluster/mailbox.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

#include "core/error.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

namespace bitplan {
namespace {

constexpr double kShortestNap = 0.2e-3, kLongestNap = 2e-3, kNapGrowth = 1.3;
constexpr double kDeaf = 1;             ///< a longer pause between two rounds means that we were stopped
constexpr std::size_t kMostUnsent = 8;  ///< no more heartbeats to a rank that takes nothing
constexpr auto kSendWait = std::chrono::milliseconds(100);
constexpr double kLastMail = 2;  ///< for what is still to be sent at the end

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Departure departure_for(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const InputError& e) {
    return {.input_error = true, .text = e.what()};
  } catch (const std::exception& e) {
    return {.input_error = false, .text = e.what()};
  } catch (...) {
    return {.input_error = false, .text = "unknown exception"};
  }
}

}  // namespace

Mailbox::Mailbox(MpiRuntime& mpi, const MailboxSpec& spec)
    : mpi_(mpi), spec_(spec), rank_(mpi.rank()), size_(mpi.size()), peers_(static_cast<std::size_t>(mpi.size())) {}

void Mailbox::talk_while(const std::function<void()>& body) {
  std::exception_ptr error;
  last_tick_ = steady_seconds();
  std::thread runner([&] {
    try {
      body();
    } catch (...) {
      error = std::current_exception();
      if (rank_ != 0) post(0, Tag::departure, encode(departure_for(error)));
    }
    const std::lock_guard lock(mutex_);
    body_ended_ = true;
    posted_.notify_all();
  });
  try {
    rank_ == 0 ? coordinate_end() : follow_to_end();
  } catch (const std::exception& e) {  // MPI itself fails: no rank can be reached, what is stored can be resumed
    log_warning("rank " + std::to_string(rank_) + ": " + e.what());
    mpi_.abort(1);
  }
  runner.join();
  if (error) std::rethrow_exception(error);
}

void Mailbox::coordinate_end() {
  talk_until([&] { return body_ended_; });
  for (int rank = 1; rank < size_; ++rank) post(rank, Tag::release, {});
  const auto missing = [](const Peer& peer) { return !peer.given_up && peer.reachable && !peer.farewell; };
  peers_[0].farewell = true;
  const double deadline = now_ + spec_.leave_after + kLastMail;
  talk_until([&] { return now_ > deadline || std::none_of(peers_.begin(), peers_.end(), missing); });
  for (int rank = 1; rank < size_; ++rank)
    if (missing(peers_[static_cast<std::size_t>(rank)])) give_up(rank);
}

void Mailbox::follow_to_end() {
  talk_until([&] { return released_ && (body_ended_ || now_ > released_at_ + spec_.leave_after); });
  post(0, Tag::farewell, {});
  exchange();
  {
    const std::lock_guard lock(mutex_);
    if (body_ended_) return;
  }
  leave_thread_behind();
  finish(0);
}

void Mailbox::talk_until(const std::function<bool()>& done) {
  double nap = kShortestNap;
  for (;;) {
    keep_time();
    send_heartbeats();
    leave_if_alone();
    nap = exchange() ? kShortestNap : std::min(nap * kNapGrowth, kLongestNap);
    std::unique_lock lock(mutex_);
    if (done()) return;
    posted_.wait_for(lock, std::chrono::duration<double>(nap), [&] { return done() || !outgoing_.empty(); });
  }
}

int Mailbox::finish(int status) {
  if (rank_ == 0) {
    for (int rank = 1; rank < size_; ++rank) post(rank, Tag::goodbye, encode(Goodbye{all_alive(), status}));
    send_last_mail();
  } else {
    talk_until([&] { return goodbye_.has_value(); });
    status = goodbye_->status;
  }
  if (!all_alive() && rank_ == 0) {  // a rank that is only frozen must end too
    std::this_thread::sleep_for(kSendWait);
    mpi_.abort(status);
  }
  if (!all_alive()) mpi_.leave(status, false);
  if (thread_left_behind()) mpi_.leave(status, true);
  return status;
}

void Mailbox::send_last_mail() {
  const double deadline = steady_seconds() + kLastMail;
  const auto unsent = [&] {
    for (int rank = 0; rank < size_; ++rank)
      if (!given_up(rank) && mpi_.unsent(rank) > 0) return true;
    return false;
  };
  for (;;) {
    exchange();
    if (!unsent() || steady_seconds() > deadline) return;
    std::this_thread::sleep_for(std::chrono::duration<double>(kShortestNap));
  }
}

bool Mailbox::exchange() {
  std::deque<Outgoing> outgoing;
  {
    const std::lock_guard lock(mutex_);
    outgoing.swap(outgoing_);
  }
  bool traffic = !outgoing.empty();
  for (Outgoing& mail : outgoing) mpi_.send(mail.rank, static_cast<int>(mail.tag), std::move(mail.bytes));
  if (traffic) {
    const std::lock_guard lock(mutex_);
    sent_count_ += outgoing.size();
    sent_.notify_all();
  }
  if (size_ == 1) return traffic;
  while (auto message = mpi_.poll()) {
    traffic = true;
    {
      const std::lock_guard lock(mutex_);
      peers_[static_cast<std::size_t>(message->rank)].heard = now_;
    }
    deliver(std::move(*message));
  }
  const std::lock_guard lock(mutex_);
  for (int rank = 0; rank < size_; ++rank) peers_[static_cast<std::size_t>(rank)].reachable = mpi_.reachable(rank);
  return traffic;
}

void Mailbox::deliver(Message message) {
  const auto tag = static_cast<Tag>(message.tag);
  if (is_order(tag)) {
    if (tag == Tag::release) note_release();
    const std::lock_guard lock(handler_mutex_);
    if (handler_) handler_(message);
    return;
  }
  const std::lock_guard lock(mutex_);
  if (tag == Tag::heartbeat) return;
  if (tag == Tag::farewell) {
    peers_[static_cast<std::size_t>(message.rank)].farewell = true;
  } else if (tag == Tag::goodbye) {
    goodbye_ = decode_goodbye(message.bytes);
  } else {
    incoming_.push_back(std::move(message));
    arrived_.notify_all();
  }
}

void Mailbox::note_release() {
  const std::lock_guard lock(mutex_);
  released_ = true;
  released_at_ = now_;
  released_now_.notify_all();
}

void Mailbox::keep_time() {
  const double tick = steady_seconds();
  const std::lock_guard lock(mutex_);
  now_ += std::min(tick - last_tick_, kDeaf);
  last_tick_ = tick;
}

void Mailbox::send_heartbeats() {
  if (now_ < next_heartbeat_) return;
  next_heartbeat_ = now_ + spec_.heartbeat;
  const int last = rank_ == 0 ? size_ - 1 : 0;  // workers to rank 0, rank 0 to all others
  for (int rank = rank_ == 0 ? 1 : 0; rank <= last; ++rank)
    if (!given_up(rank) && mpi_.unsent(rank) < kMostUnsent) mpi_.send(rank, static_cast<int>(Tag::heartbeat), {});
}

void Mailbox::leave_if_alone() {
  const double patience = std::max(spec_.patience, 5 * spec_.heartbeat);
  if (rank_ == 0 || now_ - last_heard(0) <= patience) return;
  log_warning("rank " + std::to_string(rank_) + ": nothing was heard from rank 0 for " + format_seconds(patience) +
              "; leaving");
  mpi_.leave(1, false);
}

void Mailbox::post(int rank, Tag tag, std::vector<std::byte> bytes) {
  if (rank == rank_) {
    deliver({rank, static_cast<int>(tag), std::move(bytes)});
    return;
  }
  const std::lock_guard lock(mutex_);
  outgoing_.push_back({rank, tag, std::move(bytes)});
  ++posted_count_;
  posted_.notify_all();
}

void Mailbox::wait_until_sent() {
  std::unique_lock lock(mutex_);
  const auto target = posted_count_;
  sent_.wait_for(lock, kSendWait, [&] { return sent_count_ >= target; });
}

std::optional<Message> Mailbox::take(double seconds) {
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return !incoming_.empty(); });
  if (incoming_.empty()) return std::nullopt;
  Message message = std::move(incoming_.front());
  incoming_.pop_front();
  return message;
}

void Mailbox::handle_orders(std::function<void(const Message&)> handler) {
  const std::lock_guard lock(handler_mutex_);
  handler_ = std::move(handler);
}

void Mailbox::wait_for_release() {
  std::unique_lock lock(mutex_);
  released_now_.wait(lock, [&] { return released_; });
}

double Mailbox::now() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

double Mailbox::last_heard(int rank) const {
  const std::lock_guard lock(mutex_);
  return rank == rank_ ? now_ : peers_[static_cast<std::size_t>(rank)].heard;
}

bool Mailbox::reachable(int rank) const {
  const std::lock_guard lock(mutex_);
  return peers_[static_cast<std::size_t>(rank)].reachable;
}

void Mailbox::leave_thread_behind() {
  const std::lock_guard lock(mutex_);
  thread_left_behind_ = true;
}

bool Mailbox::thread_left_behind() const {
  const std::lock_guard lock(mutex_);
  return thread_left_behind_;
}

bool Mailbox::given_up(int rank) const {
  const std::lock_guard lock(mutex_);
  return peers_[static_cast<std::size_t>(rank)].given_up;
}

void Mailbox::give_up(int rank) {
  const std::lock_guard lock(mutex_);
  peers_[static_cast<std::size_t>(rank)].given_up = true;
}

bool Mailbox::all_alive() const {
  const std::lock_guard lock(mutex_);
  return (!goodbye_ || goodbye_->all_alive) &&
         std::none_of(peers_.begin(), peers_.end(), [](const Peer& p) { return p.given_up || !p.reachable; });
}

}  // namespace bitplan
