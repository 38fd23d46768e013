#include "eval/rewrites/rewrite_sites.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.hpp"
#include "eval/executor/chunk_waves.hpp"
#include "eval/rewrites/channel_grid.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kMomentBytes = std::size_t{1} << 30;

struct FoldedSite {
  SiteId site = 0;
  ChannelFold fold;
};

/// Sums of one site over some samples.
class SiteSums {
 public:
  SiteSums(std::size_t channels, bool with_gram) : largest_(channels), magnitude_(channels) {
    if (with_gram) gram_.emplace(static_cast<std::int64_t>(channels), false, 1);
  }

  void add(std::span<const float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const float x = std::abs(values[i]);
      if (!std::isfinite(x)) throw InputError("NaN or infinite values");
      const std::size_t channel = i % largest_.size();
      largest_[channel] = std::max(largest_[channel], x);
      magnitude_[channel] += static_cast<double>(x);
    }
    rows_ += values.size() / largest_.size();
    if (gram_) gram_->add(values);
  }

  void merge(const SiteSums& later) {
    for (std::size_t c = 0; c < largest_.size(); ++c) {
      largest_[c] = std::max(largest_[c], later.largest_[c]);
      magnitude_[c] += later.magnitude_[c];
    }
    rows_ += later.rows_;
    if (gram_) gram_->merge(*later.gram_);
  }

  ChannelStatistics statistics() const {
    ChannelStatistics out{largest_, {}, gram_ ? gram_->gram() : std::vector<float>()};
    for (const double sum : magnitude_)
      out.mean_magnitude.push_back(static_cast<float>(sum / static_cast<double>(std::max<std::size_t>(1, rows_))));
    return out;
  }

 private:
  std::vector<float> largest_;
  std::vector<double> magnitude_;
  std::size_t rows_ = 0;
  std::optional<GramAccumulator> gram_;
};

using Sums = std::map<SiteId, SiteSums>;

Sums empty_sums(std::span<const FoldedSite> sites, bool with_gram) {
  Sums sums;
  for (const FoldedSite& site : sites) sums.emplace(site.site, SiteSums(site.fold.channels, with_gram));
  return sums;
}

Sums sums_of_chunk(RewriteJob& job, Executor::Workspace& workspace, int index, Sums sums) {
  const Network& net = job.executor.network();
  const auto chunk = job.calibration.chunk(index);
  const Executor::Tap tap = [&](SiteId id, std::span<const float> values) {
    const auto found = sums.find(id);
    if (found == sums.end()) return;
    const Site& site = net.site(id);
    if (net.tensor(site.tensor).shape[0] == net.batch)  // without the padding of the last chunk
      values =
          values.first(values.size() / static_cast<std::size_t>(net.batch) * static_cast<std::size_t>(chunk->valid));
    try {
      found->second.add(values);
    } catch (const InputError& e) {
      throw InputError("activation '" + site.name + "' of the calibration data: " + e.what());
    }
  };
  job.executor.run(workspace, chunk->inputs, {}, &tap);
  return sums;
}

/// One pass over the calibration data. Chunks are summed apart and added in their order.
Sums sums_of_pass(RewriteJob& job, std::span<const FoldedSite> sites, bool with_gram) {
  const int threads = job.threads > 0 ? job.threads : default_threads();
  std::vector<Executor::WorkspacePtr> workspaces(static_cast<std::size_t>(threads));
  Sums total = empty_sums(sites, with_gram);
  std::vector<Sums> parts(workspaces.size());
  for_chunks(
      job.executor, job.calibration.chunks(), workspaces,
      [&](int chunk, std::size_t slot, Executor::Workspace& workspace) {
        parts[slot] = sums_of_chunk(job, workspace, chunk, empty_sums(sites, with_gram));
      },
      [&](int, std::size_t slot) {
        for (const auto& [site, sums] : parts[slot]) total.at(site).merge(sums);
      });
  return total;
}

/// The sites of linear layers that can be folded; the others by reason.
std::vector<FoldedSite> foldable_sites(const Network& net, FoldInto into,
                                       std::map<std::string, std::vector<std::string>>& refused) {
  std::vector<FoldedSite> sites;
  for (const Site& site : net.sites) {
    if (site.kind != Site::Kind::activation || site.layers.empty()) continue;
    const auto is_linear = [&](LayerId id) { return net.layer(id).op == "MatMul" || net.layer(id).op == "Gemm"; };
    if (std::ranges::none_of(site.layers, is_linear)) continue;
    auto found = find_fold(net, site.tensor, into);
    if (!std::ranges::all_of(site.layers, is_linear)) found = {std::nullopt, "read by a convolution too"};
    if (found.fold)
      sites.push_back({site.id, std::move(*found.fold)});
    else
      refused[found.refusal].push_back(site.name);
  }
  return sites;
}

std::size_t end_of_pass(std::span<const FoldedSite> sites, std::size_t begin, bool with_gram, int threads) {
  if (!with_gram) return sites.size();
  std::size_t bytes = 0, end = begin;
  const auto copies = static_cast<std::size_t>(threads > 0 ? threads : default_threads()) + 1;
  for (; end < sites.size(); ++end) {
    bytes += 8 * sites[end].fold.channels * sites[end].fold.channels * copies;
    if (end > begin && bytes > kMomentBytes) break;
  }
  return end;
}

void fold_site(RewriteJob& job, const FoldedSite& site, const ChannelStatistics& statistics,
               const SiteFactors& factors) {
  std::vector<float> rows;
  for (const LayerId id : site.fold.to) {
    const Layer& layer = job.network.layer(id);
    const auto part = ChannelGrid(job.network, layer).rows(job.network.tensor(layer.weight).constant->values<float>());
    if (!std::ranges::all_of(part, [](float w) { return std::isfinite(w); }))
      throw InputError("the weight of layer '" + layer.names.node + "' has NaN or infinite values");
    rows.insert(rows.end(), part.begin(), part.end());
  }
  const auto channels = static_cast<std::int64_t>(site.fold.channels);
  auto found = factors({statistics, rows, static_cast<std::int64_t>(rows.size()) / channels, channels});
  const std::pair<ChannelFold, std::vector<float>> one[]{{site.fold, std::move(found)}};
  apply_folds(job.network, one, job.record);
}

}  // namespace

void fold_linear_sites(RewriteJob& job, bool with_gram, const SiteFactors& factors) {
  const FoldInto into = job.parameter("insert") != 0 ? FoldInto::anything : FoldInto::layer_or_norm;
  std::map<std::string, std::vector<std::string>> refused;
  auto sites = foldable_sites(job.network, into, refused);
  std::erase_if(sites, [](const FoldedSite& site) { return site.fold.channels == 0; });
  for (std::size_t begin = 0; begin < sites.size();) {
    const std::size_t end = end_of_pass(sites, begin, with_gram, job.threads);
    const auto pass = std::span(sites).subspan(begin, end - begin);
    const Sums sums = sums_of_pass(job, pass, with_gram);
    for (const FoldedSite& site : pass) {
      // A clip split by an earlier fold has moved the ids of nodes.
      const auto now = find_fold(job.network, site.fold.tensor, into);
      fold_site(job, {site.site, *now.fold}, sums.at(site.site).statistics(), factors);
    }
    begin = end;
  }
  const auto inserted = std::ranges::count_if(sites, [](const FoldedSite& site) { return site.fold.inserted; });
  std::size_t left = 0;
  for (const auto& [reason, names] : refused) {
    std::string note = reason + ":";
    for (const auto& name : names) note += (name == names.front() ? " '" : ", '") + name + "'";
    job.notes.push_back("not folded, " + note);
    left += names.size();
  }
  job.summary = std::to_string(sites.size()) + " activations folded, " + std::to_string(left) + " not";
  if (inserted > 0) job.summary += ", " + std::to_string(inserted) + " of them by a Mul of their own";
}

}  // namespace bitplan
