#include "cluster/mpi.hpp"

#include <mpi.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <list>
#include <stdexcept>
#include <thread>

#include "core/error.hpp"

namespace bitplan {
namespace {

void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw std::runtime_error(std::string(what) + ": " + std::string(text, static_cast<std::size_t>(length)));
}

constexpr auto kNap = std::chrono::microseconds(500);

/// Waits for a collective without burning the core that rank 0 may need: MPI_Wait spins.
void wait_asleep(MPI_Request& request, const char* what) {
  for (int done = 0;;) {
    check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), what);
    if (done) return;
    std::this_thread::sleep_for(kNap);
  }
}

void broadcast_bytes(void* data, std::size_t size) {
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibcast(data, static_cast<int>(size), MPI_BYTE, 0, MPI_COMM_WORLD, &request), "MPI_Ibcast");
  wait_asleep(request, "MPI_Ibcast");
}

struct Transfer {
  Message message;
  MPI_Request request = MPI_REQUEST_NULL;
};

}  // namespace

struct MpiRuntime::Impl {
  int rank = 0, size = 1;
  std::thread::id thread = std::this_thread::get_id();
  std::list<Transfer> sending, receiving;  // lists, because MPI holds addresses of the buffers
  std::vector<char> reachable;

  enum class Step { waiting, done, failed };
  Step test(Transfer& transfer) {
    int flag = 0;
    if (MPI_Test(&transfer.request, &flag, MPI_STATUS_IGNORE) == MPI_SUCCESS) return flag ? Step::done : Step::waiting;
    reachable[static_cast<std::size_t>(transfer.message.rank)] = 0;
    return Step::failed;
  }

  /// Begins to receive all that is announced, without waiting for its bytes: its sender may die half-way.
  void accept() {
    for (;;) {
      int flag = 0;
      MPI_Message handle;
      MPI_Status status;
      check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, &handle, &status), "MPI_Improbe");
      if (!flag) return;
      int count = 0;
      check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
      auto& transfer = receiving.emplace_back();
      transfer.message = {status.MPI_SOURCE, status.MPI_TAG, std::vector<std::byte>(static_cast<std::size_t>(count))};
      check(MPI_Imrecv(transfer.message.bytes.data(), count, MPI_BYTE, &handle, &transfer.request), "MPI_Imrecv");
    }
  }
};

MpiRuntime::MpiRuntime() : impl_(std::make_unique<Impl>()) {
  int provided = 0;
  check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) throw std::runtime_error("this MPI cannot be used beside threads");
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_rank(MPI_COMM_WORLD, &impl_->rank), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &impl_->size), "MPI_Comm_size");
  impl_->reachable.assign(static_cast<std::size_t>(impl_->size), 1);
}

MpiRuntime::~MpiRuntime() { MPI_Finalize(); }

int MpiRuntime::rank() const { return impl_->rank; }
int MpiRuntime::size() const { return impl_->size; }

std::string MpiRuntime::broadcast(const std::function<std::string()>& on_rank_0) {
  enum : std::uint64_t { text, input_error, other_error };
  std::uint64_t head[2] = {text, 0};
  std::string content;
  if (impl_->rank == 0) {
    try {
      content = on_rank_0();
    } catch (const InputError& error) {
      head[0] = input_error, content = error.what();
    } catch (const std::exception& error) {
      head[0] = other_error, content = error.what();
    }
    head[1] = content.size();
  }
  broadcast_bytes(head, sizeof head);
  if (head[1] > static_cast<std::uint64_t>(std::numeric_limits<int>::max()))
    throw std::runtime_error("a text of " + std::to_string(head[1]) + " bytes is too long to broadcast");
  content.resize(head[1]);
  broadcast_bytes(content.data(), content.size());
  if (head[0] == input_error) throw InputError(content);
  if (head[0] == other_error) throw std::runtime_error(content);
  return content;
}

void MpiRuntime::send(int rank, int tag, std::vector<std::byte> bytes) {
  assert(std::this_thread::get_id() == impl_->thread);
  assert(rank >= 0 && rank < impl_->size && bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()));
  auto& transfer = impl_->sending.emplace_back();
  transfer.message = {rank, tag, std::move(bytes)};
  const auto& kept = transfer.message.bytes;
  if (MPI_Isend(kept.data(), static_cast<int>(kept.size()), MPI_BYTE, rank, tag, MPI_COMM_WORLD, &transfer.request) !=
      MPI_SUCCESS) {
    impl_->reachable[static_cast<std::size_t>(rank)] = 0;
    impl_->sending.pop_back();
  }
}

std::optional<Message> MpiRuntime::poll() {
  assert(std::this_thread::get_id() == impl_->thread);
  std::erase_if(impl_->sending, [&](Transfer& transfer) { return impl_->test(transfer) != Impl::Step::waiting; });
  impl_->accept();
  std::vector<int> waiting;  // ranks whose earlier message is still coming: later ones wait for it
  for (auto it = impl_->receiving.begin(); it != impl_->receiving.end();) {
    const int rank = it->message.rank;
    const bool in_turn = std::find(waiting.begin(), waiting.end(), rank) == waiting.end();
    const auto step = in_turn ? impl_->test(*it) : Impl::Step::waiting;
    if (step == Impl::Step::waiting) {
      waiting.push_back(rank);
      ++it;
      continue;
    }
    Message message = std::move(it->message);
    it = impl_->receiving.erase(it);
    if (step == Impl::Step::done) return message;
  }
  return std::nullopt;
}

std::size_t MpiRuntime::unsent(int rank) const {
  std::size_t count = 0;
  for (const Transfer& transfer : impl_->sending) count += transfer.message.rank == rank;
  return count;
}

bool MpiRuntime::reachable(int rank) const { return impl_->reachable[static_cast<std::size_t>(rank)] != 0; }

void MpiRuntime::abort(int status) {
  std::cout.flush();
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);
}

void MpiRuntime::leave(int status, bool finalize) {
  std::cout.flush();
  std::fflush(nullptr);
  if (finalize) MPI_Finalize();
  std::_Exit(status);
}

}  // namespace bitplan
