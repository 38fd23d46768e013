#include "eval/executor/site_values.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace bitplan {
namespace {

/// Ends a run from inside its tap.
struct AllSeen {};

std::string_view name_of(float x) { return x != x ? "NaN" : x > 0 ? "inf" : "-inf"; }

bool is_finite(float x) { return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U; }

void check_finite(const Network& network, SiteId site, const Chunk& chunk, std::int64_t first,
                  std::span<const float> values) {
  std::uint32_t bad = 0;  // without an early exit, so that it vectorises
  for (const float x : values) bad |= static_cast<std::uint32_t>(!is_finite(x));
  if (bad == 0) return;
  const float found = *std::find_if_not(values.begin(), values.end(), is_finite);
  throw InputError("activation '" + network.site(site).name + "', samples " + std::to_string(first) + " to " +
                   std::to_string(first + chunk.valid - 1) + " hold the value " + std::string(name_of(found)) +
                   "; moments need finite activations");
}

}  // namespace

void run_to_sites(const Executor& executor, Executor::Workspace& workspace, const Chunk& chunk, std::int64_t first,
                  const Candidate& candidate, std::span<const SiteId> sites, const Executor::Tap& see) {
  std::size_t missing = sites.size();
  const Executor::Tap tap = [&](SiteId site, std::span<const float> values) {
    if (std::ranges::find(sites, site) == sites.end()) return;
    check_finite(executor.network(), site, chunk, first, values);
    see(site, values);
    if (--missing == 0) throw AllSeen{};
  };
  try {
    executor.run(workspace, chunk.inputs, candidate, &tap);
  } catch (const AllSeen&) {
    return;
  }
  assert(missing == 0 && "every activation site is seen once a run");
}

void run_to_site(const Executor& executor, Executor::Workspace& workspace, const Chunk& chunk, std::int64_t first,
                 const Candidate& candidate, SiteId site, const Executor::Tap& see, HeldRun& held) {
  const Executor::Tap tap = [&](SiteId at, std::span<const float> values) {
    check_finite(executor.network(), at, chunk, first, values);
    see(at, values);
  };
  executor.run_to(site, workspace, chunk.inputs, candidate, tap, held);
}

void check_float(const Candidate* candidate) {
  const auto is_float = [](const auto& weight) { return !weight || Executor::form(*weight) == IntegerForm::none; };
  assert(!candidate || std::ranges::all_of(candidate->weights, is_float));
  static_cast<void>(candidate), static_cast<void>(is_float);
}

std::span<const float> quantized(const Candidate& candidate, SiteId site, std::span<const float> values,
                                 std::vector<float>& out) {
  if (const SiteQuantizer* parts = candidate.parts(site)) {
    out.resize(values.size());
    fake_quantize(*parts, values, out);
    return out;
  }
  const auto at = static_cast<std::size_t>(site);
  if (at >= candidate.activations.size() || !candidate.activations[at]) return values;
  out.resize(values.size());
  fake_quantize(*candidate.activations[at], values, out);
  return out;
}

}  // namespace bitplan
