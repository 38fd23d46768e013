#include "eval/executor/executor_checkpoints.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>

#include "eval/kernels/program.hpp"

namespace bitplan {

namespace {

// One core of a CPU of 2020 with AVX-512, in seconds; only their ratio matters.
constexpr double kSecondsPerMac = 1e-11;   ///< convolutions and products
constexpr double kSecondsPerByte = 1e-10;  ///< read or written by any step; twice for a copy

constexpr std::size_t kBytesOfWeight = sizeof(std::uint64_t);
constexpr std::size_t kBytesOfSite = 1 + sizeof(float) + 3 * sizeof(std::int32_t) + sizeof(std::uint64_t);

template <class T>
void append(std::string& text, const T& value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  text.append(bytes, sizeof(T));
}

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

double seconds(const Program& program, const ProgramStep& step) {
  double macs = 0, bytes = 0;
  for (const LayerId layer : step.layers) {
    const Layer& l = program.network->layer(layer);
    macs += static_cast<double>(l.macs) * static_cast<double>(program.network->batch);
    bytes += 4 * static_cast<double>(l.weights);
  }
  for (const auto* values : {&step.reads, &step.writes})
    for (const ValueId id : *values) bytes += static_cast<double>(program.values[static_cast<std::size_t>(id)].bytes);
  return macs * kSecondsPerMac + bytes * kSecondsPerByte;
}

/// Where each block of the arena is used: first -1 for inputs, last the number of steps for outputs.
struct Use {
  int first, last = -2;
  std::size_t bytes = 0;
};

std::vector<Use> uses_of(const Program& program) {
  const int steps = static_cast<int>(program.steps.size());
  std::vector<Use> uses(program.values.size(), {steps});
  const auto use = [&](ValueId id, int step) {
    const Value& value = program.values[static_cast<std::size_t>(id)];
    if (value.constant || value.lent >= 0) return;
    Use& u = uses[static_cast<std::size_t>(value.storage)];
    u = {std::min(u.first, step), std::max(u.last, step), std::max(u.bytes, value.bytes)};
  };
  for (const ValueId input : program.inputs) use(input, -1);
  for (int i = 0; i < steps; ++i) {
    for (const ValueId id : program.steps[static_cast<std::size_t>(i)].reads) use(id, i);
    for (const ValueId id : program.steps[static_cast<std::size_t>(i)].writes) use(id, i);
  }
  for (const ValueId output : program.outputs) use(output, steps);
  return uses;
}

std::vector<ArenaRange> alive_before(const Program& program, const std::vector<Use>& uses, int step) {
  std::vector<ArenaRange> alive;
  for (std::size_t v = 0; v < uses.size(); ++v) {
    const Use& use = uses[v];
    if (use.first < step && use.last >= step && use.bytes > 0) alive.push_back({program.offsets[v], use.bytes});
  }
  return alive;
}

}  // namespace

std::vector<ArenaRange> alive_before(const Program& program, std::size_t step) {
  return alive_before(program, uses_of(program), static_cast<int>(step));
}

std::size_t bytes_of(std::span<const ArenaRange> ranges) {
  std::size_t bytes = 0;
  for (const ArenaRange& range : ranges) bytes += range.bytes;
  return bytes;
}

void copy_out(std::span<const ArenaRange> ranges, const std::byte* arena, std::byte* to) {
  for (const ArenaRange& range : ranges) {
    std::memcpy(to, arena + range.offset, range.bytes);
    to += range.bytes;
  }
}

void copy_back(std::span<const ArenaRange> ranges, const std::byte* from, std::byte* arena) {
  for (const ArenaRange& range : ranges) {
    std::memcpy(arena + range.offset, from, range.bytes);
    from += range.bytes;
  }
}

/// Finds the places and chooses among them.
class Checkpoints::Planner {
 public:
  explicit Planner(const Program& program) : program_(program), uses_(uses_of(program)) {}

  /// Every step that is the first to look at something, but step 0; fills `order`.
  std::vector<Point> places(std::vector<Dependency>& order) const {
    std::vector<Point> found;
    std::set<LayerId> layers;
    std::set<SiteId> sites;
    std::size_t length = sizeof(std::uint64_t);
    for (std::size_t k = 0; k < program_.steps.size(); ++k) {
      const ProgramStep& step = program_.steps[k];
      const std::size_t before = length;
      for (const LayerId layer : step.layers)
        if (layers.insert(layer).second) order.push_back({layer, -1}), length += kBytesOfWeight;
      for (const SiteId site : step.sites)
        if (sites.insert(site).second) order.push_back({-1, site}), length += kBytesOfSite;
      if (length > before && k > 0) found.push_back(point(k, before));
    }
    return found;
  }

  /// The choice of least time: best[j] for places before j, where j is the next chosen one.
  std::vector<Point> choose(std::vector<Point> all) const {
    const std::size_t n = all.size();
    std::vector<double> clock(program_.steps.size() + 1, 0);  ///< when step k begins
    for (std::size_t k = 0; k < program_.steps.size(); ++k)
      clock[k + 1] = clock[k] + seconds(program_, program_.steps[k]);
    // Place 0 stands for a run from the inputs: nothing to copy, nothing to store.
    std::vector<double> best(n + 2, 0), begins(n + 1, 0), copies(n + 1, 0);
    std::vector<std::size_t> previous(n + 2, 0);
    for (std::size_t i = 1; i <= n; ++i) {
      begins[i] = clock[all[i - 1].step];
      copies[i] = 2 * kSecondsPerByte * static_cast<double>(all[i - 1].bytes);
    }
    for (std::size_t j = 1; j <= n + 1; ++j) {
      best[j] = 1e300;
      double behind = 0;  ///< sum of begins[p] for p in i … j - 1
      for (std::size_t i = j; i-- > 0;) {
        behind += begins[i];
        const auto places = static_cast<double>(j - i);
        const double time = best[i] + copies[i] + places * (copies[i] - begins[i]) + behind;
        if (time < best[j]) best[j] = time, previous[j] = i;
      }
    }
    std::vector<Point> chosen;
    for (std::size_t j = previous[n + 1]; j > 0; j = previous[j]) chosen.push_back(std::move(all[j - 1]));
    std::ranges::reverse(chosen);
    return chosen;
  }

 private:
  Point point(std::size_t step, std::size_t prefix_length) const {
    Point p{step, 0, prefix_length, alive_before(program_, uses_, static_cast<int>(step))};
    p.bytes = bytes_of(p.alive);
    return p;
  }

  const Program& program_;
  std::vector<Use> uses_;
};

Checkpoints::Checkpoints(const Program& program) : serial_(next_serial()) {
  const Planner planner(program);
  std::vector<Point> places = planner.places(order_);
  points_ = planner.choose(std::move(places));
}

std::string Checkpoints::choices(const Candidate& candidate) const {
  std::string text;
  append(text, serial_);
  for (const Dependency& d : order_) {
    const auto layer = static_cast<std::size_t>(d.layer), site = static_cast<std::size_t>(d.site);
    if (d.layer >= 0) {
      const bool own = layer < candidate.weights.size() && candidate.weights[layer];
      append(text, own ? candidate.weights[layer]->serial : std::uint64_t{0});
      continue;
    }
    const bool own = site < candidate.activations.size() && candidate.activations[site];
    const Affine q = own ? *candidate.activations[site] : Affine{0, 0, 0, 0};
    append(text, static_cast<char>(own));
    append(text, q.scale);
    for (const std::int32_t v : {q.zero_point, q.q_min, q.q_max}) append(text, v);
    const SiteQuantizer* parts = candidate.parts(d.site);
    append(text, parts ? parts->serial : std::uint64_t{0});
  }
  return text;
}

void Checkpoints::save(std::size_t i, const std::byte* arena, std::byte* to) const {
  copy_out(points_[i].alive, arena, to);
}

void Checkpoints::restore(std::size_t i, const std::byte* from, std::byte* arena) const {
  copy_back(points_[i].alive, from, arena);
}

}  // namespace bitplan
