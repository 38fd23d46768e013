#include "eval/kernels/strided_copy.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace bitplan {

namespace {

/// The part of the blocked dimension that one job copies: logical indices i … i + count - 1 of the region.
struct Run {
  std::int64_t begin, count;
};

bool whole_blocks(const Placement& source, const Placement& target, const Region& region, std::size_t d) {
  return source.block == target.block && source.blocked_dim == target.blocked_dim &&
         region.from[d] % source.block == 0 && region.to[d] % source.block == 0;
}

std::int64_t address(const Placement& place, std::size_t d, std::int64_t index) {
  if (static_cast<int>(d) != place.blocked_dim) return index * place.strides[d];
  return index / place.block * place.strides[d] + index % place.block;
}

std::int64_t step_of(const Placement& place, std::size_t d) {
  return static_cast<int>(d) == place.blocked_dim ? 1 : place.strides[d];
}

/// Cuts [0, count) where a block of source or target ends.
std::vector<Run> runs_of(const Placement& source, const Placement& target, const Region& region, std::size_t d) {
  const auto room = [&](const Placement& place, std::int64_t index) {
    return static_cast<int>(d) == place.blocked_dim ? place.block - index % place.block : INT64_MAX;
  };
  std::vector<Run> runs;
  for (std::int64_t i = 0; i < region.count[d];) {
    const std::int64_t length =
        std::min({region.count[d] - i, room(source, region.from[d] + i), room(target, region.to[d] + i)});
    runs.push_back({i, length});
    i += length;
  }
  return runs;
}

constexpr std::int64_t kTile = 16;

/// to[i * a.to + j] = from[i + j * b.from]: both arrays are cut into tiles that fit the nearest cache.
template <class T>
void transpose(const CopyJob::Loop& a, const CopyJob::Loop& b, const T* from, T* to) {
  for (std::int64_t i0 = 0; i0 < a.count; i0 += kTile)
    for (std::int64_t j0 = 0; j0 < b.count; j0 += kTile) {
      const std::int64_t i1 = std::min(a.count, i0 + kTile), j1 = std::min(b.count, j0 + kTile);
      for (std::int64_t i = i0; i < i1; ++i)
        for (std::int64_t j = j0; j < j1; ++j) to[i * a.to + j] = from[i + j * b.from];
    }
}

template <class T>
void copy(const CopyJob& job, std::size_t depth, const T* from, T* to) {
  const CopyJob::Loop& loop = job.loops[depth];
  if (depth + 2 == job.loops.size() && loop.from == 1 && job.loops.back().to == 1) {
    transpose(loop, job.loops.back(), from, to);
  } else if (depth + 1 < job.loops.size()) {
    for (std::int64_t i = 0; i < loop.count; ++i) copy(job, depth + 1, from + i * loop.from, to + i * loop.to);
  } else if (loop.from == 1 && loop.to == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(loop.count) * sizeof(T));
  } else {
    for (std::int64_t i = 0; i < loop.count; ++i) to[i * loop.to] = from[i * loop.from];
  }
}

template <class T>
void copy_all(const std::vector<CopyJob>& jobs, const std::byte* from, std::byte* to) {
  for (const CopyJob& job : jobs)
    copy(job, 0, reinterpret_cast<const T*>(from) + job.from, reinterpret_cast<T*>(to) + job.to);
}

}  // namespace

void tidy_loops(std::vector<CopyJob::Loop>& loops) {
  std::erase_if(loops, [](const auto& loop) { return loop.count == 1; });
  std::ranges::stable_sort(loops, std::greater(), &CopyJob::Loop::to);
  std::vector<CopyJob::Loop> joined;
  for (const auto& inner : loops) {
    if (!joined.empty() && joined.back().to == inner.to * inner.count && joined.back().from == inner.from * inner.count)
      joined.back() = {joined.back().count * inner.count, inner.from, inner.to};
    else
      joined.push_back(inner);
  }
  if (joined.empty()) joined.push_back({1, 1, 1});
  const auto dense = std::ranges::find(joined, 1, &CopyJob::Loop::from);
  if (dense != joined.end() && joined.back().from != 1) std::rotate(dense, dense + 1, joined.end() - 1);
  loops = std::move(joined);
}

std::optional<std::vector<CopyJob>> copy_jobs(const Placement& source, const Placement& target, const Region& region) {
  assert(source.blocked_dim < 0 || target.blocked_dim < 0 || source.blocked_dim == target.blocked_dim);
  const int blocked = std::max(source.blocked_dim, target.blocked_dim);
  if (std::ranges::count(region.count, 0) > 0) return std::vector<CopyJob>();
  CopyJob base;
  for (std::size_t d = 0; d < region.count.size(); ++d) {
    if (static_cast<int>(d) == blocked) continue;
    base.from += region.from[d] * source.strides[d];
    base.to += region.to[d] * target.strides[d];
    base.loops.push_back({region.count[d], region.step[d] * source.strides[d], target.strides[d]});
  }
  std::vector<CopyJob> jobs;
  const auto finish = [&](CopyJob job) {
    tidy_loops(job.loops);
    jobs.push_back(std::move(job));
  };
  if (blocked < 0) {
    finish(base);
    return jobs;
  }
  const auto d = static_cast<std::size_t>(blocked);
  if (region.step[d] != 1) return std::nullopt;
  std::vector<Run> runs = runs_of(source, target, region, d);
  if (whole_blocks(source, target, region, d) && region.count[d] >= source.block) {
    const std::int64_t blocks = region.count[d] / source.block;
    CopyJob job = base;
    job.from += address(source, d, region.from[d]);
    job.to += address(target, d, region.to[d]);
    job.loops.push_back({blocks, source.strides[d], target.strides[d]});
    job.loops.push_back({source.block, 1, 1});
    finish(job);
    runs.erase(runs.begin(), runs.begin() + blocks);
  }
  for (const Run& run : runs) {
    CopyJob job = base;
    job.from += address(source, d, region.from[d] + run.begin);
    job.to += address(target, d, region.to[d] + run.begin);
    job.loops.push_back({run.count, step_of(source, d), step_of(target, d)});
    finish(job);
  }
  return jobs;
}

void StridedCopyStep::run(Frame& frame) const {
  std::byte* to = frame.write(target_);
  if (fill_) {
    auto* floats = reinterpret_cast<float*>(to);
    std::fill(floats, floats + frame.program.values[static_cast<std::size_t>(target_)].bytes / sizeof(float), *fill_);
  }
  for (const Part& part : parts_) {
    const std::byte* from = frame.read(part.source);
    switch (element_bytes_) {
      case 1:
        copy_all<std::uint8_t>(part.jobs, from, to);
        break;
      case 2:
        copy_all<std::uint16_t>(part.jobs, from, to);
        break;
      case 4:
        copy_all<std::uint32_t>(part.jobs, from, to);
        break;
      default:
        copy_all<std::uint64_t>(part.jobs, from, to);
        break;
    }
  }
}

}  // namespace bitplan
