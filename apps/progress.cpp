#include "apps/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "apps/table.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

namespace bitplan {

Progress::Progress(std::filesystem::path directory, RunStatus status, std::int64_t planned, bool quiet)
    : directory_(std::move(directory)),
      status_(std::move(status)),
      planned_(planned),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1) {
  status_.trials_planned = planned;
  write_status(directory_, status_);
}

double Progress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

void Progress::stage(const std::string& name, std::int64_t number, std::int64_t of) {
  status_.stage = name;
  stage_text_ = std::to_string(number) + "/" + std::to_string(of) + " " + name;
  log_event("stage", {{"stage", name}});
  draw(true);
}

void Progress::batch(const Archive& archive, const CostModel& costs, const std::string& objective) {
  status_.trials = static_cast<std::int64_t>(archive.trials().size());
  status_.trials_invalid = std::count_if(archive.trials().begin(), archive.trials().end(), [](const Trial& t) {
    return t.measurement.status == Measurement::Status::invalid;
  });
  status_.trials_failed = std::count_if(archive.trials().begin(), archive.trials().end(), [](const Trial& t) {
    return t.measurement.status == Measurement::Status::failed;
  });
  if (const auto* best = archive.best()) {
    RunStatus::Best shown{.trial = best->id, .stage = best->stage, .loss = best->measurement.loss, .costs = {}};
    for (std::size_t m = 0; m < costs.metrics().size(); ++m) shown.costs[costs.metrics()[m].label()] = best->measurement.costs[m];
    if (!status_.best || status_.best->trial != best->id)
      log_event("best", {{"trial", best->id}, {"stage", best->stage}, {"loss", best->measurement.loss}});
    status_.best = std::move(shown);
    best_text_ = "best " + objective + " " + significant(best->measurement.loss) + " (" + best->stage + ")";
  }
  units_at_batch_ = status_.units_done + status_.units_reused;
  units_per_trial_ = static_cast<double>(units_at_batch_) / static_cast<double>(std::max<std::int64_t>(status_.trials, 1));
  draw(false);
}

void Progress::units(const ClusterProgress& progress) {
  status_.units_done = progress.units_done;
  status_.units_reused = progress.units_reused;
  status_.units_retried = progress.units_retried;
  status_.ranks = progress.ranks;
  status_.ranks_lost = progress.ranks_lost;
  draw(false);
}

std::string Progress::line() const {
  const auto units = status_.units_done + status_.units_reused;
  // Trials are accounted batch by batch; within a long batch the units tell how far it is.
  const double done = static_cast<double>(status_.trials) +
                      (units_per_trial_ > 0 ? static_cast<double>(units - units_at_batch_) / units_per_trial_ : 0);
  std::string text = "[" + stage_text_ + "] " + fixed(done, 0);
  if (planned_ > 0) text += " of about " + fixed(std::max(static_cast<double>(planned_), done), 0);
  text += " measured";
  if (units_per_trial_ > 0 && status_.units_done > 0) {
    // What was found in the store cost no time: a resumed run must not boast.
    const double rate = static_cast<double>(status_.units_done) / units_per_trial_ / seconds();
    text += ", " + significant(rate) + "/s";
    if (const double left = static_cast<double>(planned_) - done; left > 0) text += ", " + format_seconds(std::ceil(left / rate)) + " left";
  }
  if (!best_text_.empty()) text += ", " + best_text_;
  return text;
}

void Progress::draw(bool now) {
  const double t = seconds();
  if (now || t - saved_ >= 1) {
    saved_ = t;
    status_.seconds = t;
    status_.updated = utc_now();
    write_status(directory_, status_);
  }
  if (quiet_) return;
  if (terminal_ && (now || t - drawn_ >= 0.2)) {
    drawn_ = t;
    std::cerr << "\r\x1b[K" << line() << std::flush;
  } else if (!terminal_ && t - drawn_ >= 10) {
    drawn_ = t;
    std::cerr << line() << '\n';
  }
}

void Progress::finish(RunState state, const std::string& reason) {
  if (terminal_ && !quiet_) std::cerr << "\r\x1b[K" << std::flush;
  status_.state = state;
  status_.reason = reason;
  status_.seconds = seconds();
  status_.updated = utc_now();
  write_status(directory_, status_);
  log_event("end", {{"state", name_of(state)}, {"reason", reason}});
}

}  // namespace bitplan
