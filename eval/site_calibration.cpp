#include "eval/site_calibration.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "eval/evaluator_calibration.hpp"
#include "eval/executor/chunk_waves.hpp"
#include "eval/executor/site_values.hpp"
#include "model/site_channels.hpp"
#include "quant/observers/channel_observer.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kPassBytes = std::size_t{256} << 20;  ///< of observers
constexpr std::size_t kChannelBytes = 16 << 10;             ///< of one channel's: the largest that the table has
constexpr std::size_t kTensorBytes = 128 << 10;

using Kind = Granularity::Kind;

void stop_if(const std::atomic<bool>* stop) {
  if (stop != nullptr && *stop) throw Interrupted("the calibration was stopped");
}

/// What one pass sees of one site.
class SiteObserver {
 public:
  SiteObserver(const ObserverSpec& spec, const SiteChannels& site, Kind kind, std::vector<std::int32_t> left_out)
      : site_(site), left_out_(std::move(left_out)) {
    if (kind == Kind::channel)
      channels_.emplace(spec, site.channels);
    else
      tensor_ = find_observer(spec.name).make(spec);
  }

  void observe(std::span<const float> values) {
    if (channels_) return channels_->observe(values, site_.inner);
    tensor_->observe(without_left_out(values));
  }
  void merge(const SiteObserver& later) {
    if (channels_) return channels_->merge(*later.channels_);
    tensor_->merge(*later.tensor_);
  }
  std::vector<Affine> quantizers(const Choice& choice) const {
    if (channels_) return channels_->quantizers(choice.bits, choice.symmetric, choice.narrow);
    return {tensor_->quantizer(choice.bits, choice.symmetric, choice.narrow)};
  }

 private:
  std::span<const float> without_left_out(std::span<const float> values) {
    const auto inner = static_cast<std::size_t>(site_.inner), channels = static_cast<std::size_t>(site_.channels);
    std::vector<bool> out(channels);
    for (const auto c : left_out_) out[static_cast<std::size_t>(c)] = true;
    rest_.clear();
    for (std::size_t run = 0; run * inner < values.size(); ++run) {
      const auto part = values.subspan(run * inner, inner);
      if (!out[run % channels]) rest_.insert(rest_.end(), part.begin(), part.end());
    }
    return rest_;
  }

  SiteChannels site_;
  std::vector<std::int32_t> left_out_;
  std::optional<ChannelObserver> channels_;
  std::unique_ptr<Observer> tensor_;
  std::vector<float> rest_;
};

/// Channels along the first axis are no samples, whatever the batch is.
std::span<const float> seen_part(const Network& network, SiteId site, const SiteChannels& channels, const Chunk& chunk,
                                 std::span<const float> values) {
  return channels.axis == 0 ? values : valid_part(network, site, chunk, values);
}

std::vector<float> channel_magnitudes(const SiteChannels& site, std::span<const float> values) {
  std::vector<float> largest(static_cast<std::size_t>(site.channels));
  const auto inner = static_cast<std::size_t>(site.inner);
  for (std::size_t run = 0; run * inner < values.size(); ++run) {
    float& most = largest[run % largest.size()];
    for (const float v : values.subspan(run * inner, inner)) most = std::max(most, std::abs(v));
  }
  return largest;
}

}  // namespace

/// One site observed for all choices of one granularity and share of outliers.
class SiteCalibration::Job {
 public:
  Job(SiteId of_site, const Choice& of_choice, const SiteChannels& channels, std::vector<std::int32_t> floats)
      : site(of_site), choice(of_choice), channels_(channels), floats_(std::move(floats)) {}

  SiteId site;
  Choice choice;
  std::unique_ptr<SiteObserver> seen;

  std::unique_ptr<SiteObserver> observer(const ObserverSpec& spec) const {
    return std::make_unique<SiteObserver>(spec, channels_, choice.granularity.kind, floats_);
  }
  std::size_t bytes() const {
    if (choice.granularity.kind == Kind::tensor) return kTensorBytes;
    return kChannelBytes * static_cast<std::size_t>(channels_.channels);
  }
  const SiteChannels& channels() const { return channels_; }
  /// Serves this one too.
  bool is_for(SiteId other, const Choice& c) const {
    return other == site && c.activation && c.granularity == choice.granularity && c.outliers == choice.outliers;
  }

 private:
  SiteChannels channels_;
  std::vector<std::int32_t> floats_;
};

bool SiteCalibration::takes(const Choice& choice) {
  return choice.activation && (choice.granularity.kind != Kind::tensor || choice.outliers > 0);
}

SiteQuantizer SiteCalibration::without_parts(SiteId site, const Choice& choice) const {
  const SiteChannels channels = site_channels(executor_.network(), site);
  SiteQuantizer made;
  made.kind = choice.granularity.kind;
  made.axis = channels.axis;
  made.channels = channels.channels;
  made.inner = channels.inner;
  made.bits = choice.bits;
  made.symmetric = choice.symmetric;
  made.narrow = choice.narrow;
  if (choice.outliers > 0) made.float_channels = largest_channels(magnitudes_.at(site), choice);
  return made;
}

std::vector<SiteCalibration::Quantizer> SiteCalibration::get(std::span<const Wanted> wanted,
                                                             std::span<Executor::WorkspacePtr> workspaces,
                                                             const std::atomic<bool>* stop) {
  const auto missing = [&](const Wanted& w) { return !made_.contains(w); };
  std::vector<SiteId> unknown;
  for (const auto& [site, id] : wanted)
    if (missing({site, id}) && choices_[id].outliers > 0 && !magnitudes_.contains(site)) unknown.push_back(site);
  find_magnitudes(unknown, workspaces, stop);
  std::vector<Job> jobs;
  for (const auto& [site, id] : wanted) {
    const Choice& choice = choices_[id];
    assert(takes(choice));
    if (!missing({site, id})) continue;
    auto made = without_parts(site, choice);
    if (choice.granularity.kind == Kind::token)
      made_.emplace(Wanted(site, id), std::make_shared<const SiteQuantizer>(std::move(made)));
    else if (std::ranges::none_of(jobs, [&](const Job& job) { return job.is_for(site, choice); }))
      jobs.emplace_back(site, choice, SiteChannels{made.axis, made.channels, made.inner}, made.float_channels);
  }
  for (std::size_t begin = 0, end = 0; begin < jobs.size(); begin = end) {
    for (std::size_t bytes = 0; end < jobs.size(); ++end) {
      bytes += jobs[end].bytes() * (workspaces.size() + 1);
      if (end > begin && bytes > kPassBytes) break;
    }
    run(std::span(jobs).subspan(begin, end - begin), workspaces, stop);
  }
  std::vector<Quantizer> found;
  for (const auto& w : wanted) found.push_back(made_.at(w));
  return found;
}

void SiteCalibration::find_magnitudes(const std::vector<SiteId>& sites, std::span<Executor::WorkspacePtr> workspaces,
                                      const std::atomic<bool>* stop) {
  if (sites.empty()) return;
  const Network& network = executor_.network();
  std::map<SiteId, SiteChannels> channels;
  for (const SiteId site : sites) channels.emplace(site, site_channels(network, site));
  std::vector<std::map<SiteId, std::vector<float>>> slots(workspaces.size());
  std::map<SiteId, std::vector<float>> largest;
  for_chunks(
      executor_, data_->chunks(), workspaces,
      [&](int index, std::size_t slot, Executor::Workspace& workspace) {
        stop_if(stop);
        const auto chunk = data_->chunk(index);
        run_to_sites(executor_, workspace, *chunk, index * network.batch, {}, sites,
                     [&](SiteId site, std::span<const float> values) {
                       const SiteChannels& along = channels.at(site);
                       slots[slot][site] = channel_magnitudes(along, seen_part(network, site, along, *chunk, values));
                     });
      },
      [&](int, std::size_t slot) {
        for (auto& [site, of_chunk] : slots[slot]) {
          auto& most = largest.try_emplace(site, of_chunk.size(), 0.0F).first->second;
          for (std::size_t c = 0; c < most.size(); ++c) most[c] = std::max(most[c], of_chunk[c]);
        }
      });
  magnitudes_.merge(largest);
}

void SiteCalibration::run(std::span<Job> jobs, std::span<Executor::WorkspacePtr> workspaces,
                          const std::atomic<bool>* stop) {
  const Network& network = executor_.network();
  std::set<SiteId> site_set;
  for (const Job& job : jobs) site_set.insert(job.site);
  const std::vector<SiteId> sites(site_set.begin(), site_set.end());
  std::vector<std::vector<std::unique_ptr<SiteObserver>>> slots(workspaces.size());
  for_chunks(
      executor_, data_->chunks(), workspaces,
      [&](int index, std::size_t slot, Executor::Workspace& workspace) {
        stop_if(stop);
        const auto chunk = data_->chunk(index);
        slots[slot].clear();
        for (const Job& job : jobs) slots[slot].push_back(job.observer(observer_));
        run_to_sites(executor_, workspace, *chunk, index * network.batch, {}, sites,
                     [&](SiteId site, std::span<const float> values) {
                       for (std::size_t j = 0; j < jobs.size(); ++j)
                         if (jobs[j].site == site)
                           slots[slot][j]->observe(seen_part(network, site, jobs[j].channels(), *chunk, values));
                     });
      },
      [&](int, std::size_t slot) {
        for (std::size_t j = 0; j < jobs.size(); ++j) {
          if (jobs[j].seen)
            jobs[j].seen->merge(*slots[slot][j]);
          else
            jobs[j].seen = std::move(slots[slot][j]);
        }
      });
  for (Job& job : jobs) {
    keep(job);
    job.seen.reset();
  }
}

void SiteCalibration::keep(const Job& job) {
  for (ChoiceId id = 0; id < static_cast<ChoiceId>(choices_.size()); ++id) {
    const Choice& choice = choices_[id];
    if (!job.is_for(job.site, choice)) continue;
    auto made = without_parts(job.site, choice);
    made.parts = job.seen->quantizers(choice);
    made_.emplace(Wanted(job.site, id), std::make_shared<const SiteQuantizer>(std::move(made)));
  }
}

}  // namespace bitplan
