#include "eval/executor/executor_workspace.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>

namespace bitplan {

namespace {

constexpr std::align_val_t kHugePage{std::size_t{1} << 21};
constexpr std::size_t kKept = 8;  ///< programs whose memory handles are kept

/// Memory in huge pages where the kernel gives them: measured 1.1 to 1.3 times as fast, as activations pass through
/// many more small pages than the CPU's address caches hold.
std::byte* allocate(std::size_t bytes) {
  auto* memory = static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1), kHugePage));
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // advice only: no matter when it is refused
  return memory;
}

std::vector<dnnl::memory> handles(const Program& program, std::byte* arena) {
  std::vector<dnnl::memory> memories;
  memories.reserve(program.values.size());
  for (std::size_t v = 0; v < program.values.size(); ++v) {
    const Value& value = program.values[v];
    if (value.layout.get_size() == 0) {
      memories.emplace_back();
      continue;
    }
    // oneDNN's memory handles are not const; constants are only ever bound to inputs.
    void* data = value.constant ? const_cast<std::byte*>(value.constant.get()) : arena + program.offsets[v];
    memories.emplace_back(value.layout, program.engine, data);
  }
  return memories;
}

std::size_t most_arguments(const Program& program) {
  std::size_t most = 0;
  for (const ProgramStep& step : program.steps) most = std::max(most, step.reads.size() + step.writes.size());
  return most + 8;
}

}  // namespace

void Executor::Workspace::Free::operator()(std::byte* memory) const { ::operator delete(memory, kHugePage); }

Executor::Workspace::Workspace(const Program& program)
    : stream(program.engine), arena_bytes_(program.arena_bytes), arena_(allocate(program.arena_bytes)) {}

const Executor::Workspace::Bound& Executor::Workspace::bind(const std::shared_ptr<const Program>& program) {
  const auto found = std::ranges::find(bounds_, program, &Bound::program);
  if (found != bounds_.end()) {
    bounds_.splice(bounds_.begin(), bounds_, found);
    return bounds_.front();
  }
  if (program->arena_bytes > arena_bytes_) {
    bounds_.clear();
    last = nullptr;
    arena_bytes_ = 0;  // until there is memory again
    arena_.reset();
    arena_.reset(allocate(program->arena_bytes));
    arena_bytes_ = program->arena_bytes;
  }
  if (bounds_.size() >= kKept) bounds_.pop_back();
  bounds_.push_front({program, handles(*program, arena_.get())});
  arguments.reserve(most_arguments(*program));
  return bounds_.front();
}

}  // namespace bitplan
