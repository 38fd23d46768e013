#include "eval/executor/executor_memory.hpp"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "eval/kernels/program.hpp"

namespace bitplan {

namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return std::max((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
}

bool overlap(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

struct Range {
  std::size_t begin, end;
};

/// The start of the smallest gap between `taken` (sorted by begin) that holds `bytes`; behind all when there is none.
std::size_t best_gap(const std::vector<Range>& taken, std::size_t bytes) {
  std::size_t end = 0, best = 0, best_size = SIZE_MAX;
  for (const Range& range : taken) {
    const std::size_t gap = range.begin > end ? range.begin - end : 0;
    if (gap >= bytes && gap < best_size) std::tie(best, best_size) = std::tuple(end, gap);
    end = std::max(end, range.end);
  }
  return best_size == SIZE_MAX ? end : best;
}

}  // namespace

ArenaPlan plan_arena(const std::vector<Lifetime>& blocks) {
  std::vector<std::size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  ArenaPlan plan{std::vector<std::size_t>(blocks.size()), 0};
  std::vector<std::size_t> placed;
  for (const std::size_t i : order) {
    std::vector<Range> taken;
    for (const std::size_t j : placed)
      if (overlap(blocks[i], blocks[j])) taken.push_back({plan.offsets[j], plan.offsets[j] + aligned(blocks[j].bytes)});
    std::ranges::sort(taken, {}, &Range::begin);
    plan.offsets[i] = best_gap(taken, aligned(blocks[i].bytes));
    plan.bytes = std::max(plan.bytes, plan.offsets[i] + aligned(blocks[i].bytes));
    placed.push_back(i);
  }
  return plan;
}

namespace {

/// Inputs whose readers find them anywhere are read where the caller has them, not copied. Only under their own name:
/// other values in the same memory must have been written there since.
void lend_inputs(Program& program) {
  std::vector<bool> written(program.values.size(), false);
  for (const ProgramStep& step : program.steps)
    for (const ValueId id : step.writes) written[static_cast<std::size_t>(id)] = true;
  const auto value = [&](ValueId id) -> Value& { return program.values[static_cast<std::size_t>(id)]; };
  for (std::size_t i = 0; i < program.inputs.size(); ++i) {
    const ValueId input = program.inputs[i];
    const auto shows = [&](ValueId id) {
      return value(id).storage == value(input).storage && !written[static_cast<std::size_t>(id)];
    };
    const auto reads_it_only = [&](const ProgramStep& step) {
      return std::ranges::all_of(
          step.reads, [&](ValueId id) { return !shows(id) || (id == input && step.step->reads_anywhere()); });
    };
    if (shows(input) && std::ranges::none_of(program.outputs, shows) &&
        std::ranges::all_of(program.steps, reads_it_only))
      value(input).lent = static_cast<int>(i);
  }
}

}  // namespace

void plan_memory(Program& program) {
  lend_inputs(program);
  const int steps = static_cast<int>(program.steps.size());
  std::vector<Lifetime> lives(program.values.size(), {steps, -1, 0});
  const auto use = [&](ValueId id, int step) {
    const Value& value = program.values[static_cast<std::size_t>(id)];
    if (value.constant || value.lent >= 0) return;
    Lifetime& life = lives[static_cast<std::size_t>(value.storage)];
    life = {std::min(life.first, step), std::max(life.last, step), std::max(life.bytes, value.bytes)};
  };
  for (const ValueId input : program.inputs) use(input, 0);
  for (int i = 0; i < steps; ++i) {
    const ProgramStep& step = program.steps[static_cast<std::size_t>(i)];
    for (const ValueId id : step.reads) use(id, i);
    for (const ValueId id : step.writes) use(id, i);
    for (const ValueId id : step.early) use(id, i);
  }
  for (const ValueId output : program.outputs) use(output, steps);

  std::vector<Lifetime> blocks;
  std::vector<std::size_t> owner;
  for (std::size_t v = 0; v < lives.size(); ++v)
    if (lives[v].last >= 0) blocks.push_back(lives[v]), owner.push_back(v);
  const ArenaPlan plan = plan_arena(blocks);
  program.offsets.assign(program.values.size(), 0);
  for (std::size_t i = 0; i < owner.size(); ++i) program.offsets[owner[i]] = plan.offsets[i];
  for (std::size_t v = 0; v < lives.size(); ++v)
    program.offsets[v] = program.offsets[static_cast<std::size_t>(program.values[v].storage)];
  program.arena_bytes = plan.bytes;
  for (const ProgramStep& step : program.steps)
    for (const ValueId id : step.writes)
      program.naive_bytes += aligned(program.values[static_cast<std::size_t>(id)].bytes);
  for (const ValueId id : program.inputs)
    program.naive_bytes += aligned(program.values[static_cast<std::size_t>(id)].bytes);
}

}  // namespace bitplan
