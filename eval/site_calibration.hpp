#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"
#include "quant/choice.hpp"
#include "quant/observers/observer.hpp"
#include "quant/site_quantizer.hpp"

namespace bitplan {

/// The quantizers of activations by channel, by token or with outlier channels, for which what calibrate() observes
/// does not suffice. Made when first asked for, and kept; for the sites of one request together:
///
///   outliers   the largest magnitude of each channel over the calibration data; then, for granularity tensor, an
///              observer of the values outside the outlier channels
///   channel    an observer a channel (ChannelObserver). Sites are taken in passes over the data such that their
///              observers, of all chunks in work, stay within 256 MiB, one site at least
///   token      nothing
///
/// What is observed serves all choices of the table that need the same. A pass runs the float network up to the last
/// site that it needs. Parts of chunks are merged in chunk order; samples of padding are not seen where calibrate()
/// does not see them. One caller at a time.
///
/// Errors: InputError where a site has no channels (site_channels()) or the observer refuses.
class SiteCalibration {
 public:
  /// `data`: the calibration data; null: choices that need them are refused by the caller.
  SiteCalibration(const Executor& executor, const ChoiceTable& choices, ChunkedData* data, const ObserverSpec& observer)
      : executor_(executor), choices_(choices), data_(data), observer_(observer) {}

  using Quantizer = std::shared_ptr<const SiteQuantizer>;
  using Wanted = std::pair<SiteId, ChoiceId>;
  /// Whether a choice belongs here: an activation's that one Affine from calibrate() does not describe.
  static bool takes(const Choice& choice);

  /// In the order of `wanted`, whose choices it takes. Throws Interrupted when *stop becomes true.
  std::vector<Quantizer> get(std::span<const Wanted> wanted, std::span<Executor::WorkspacePtr> workspaces,
                             const std::atomic<bool>* stop = nullptr);

 private:
  class Job;
  void find_magnitudes(const std::vector<SiteId>& sites, std::span<Executor::WorkspacePtr> workspaces,
                       const std::atomic<bool>* stop);
  void run(std::span<Job> jobs, std::span<Executor::WorkspacePtr> workspaces, const std::atomic<bool>* stop);
  SiteQuantizer without_parts(SiteId site, const Choice& choice) const;
  void keep(const Job& job);

  const Executor& executor_;
  const ChoiceTable& choices_;
  ChunkedData* data_;
  ObserverSpec observer_;
  std::map<SiteId, std::vector<float>> magnitudes_;  ///< by channel
  std::map<Wanted, Quantizer> made_;
};

}  // namespace bitplan
