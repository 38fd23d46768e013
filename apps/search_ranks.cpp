#include "apps/search_ranks.hpp"

#include <unistd.h>

#include <fstream>
#include <iostream>
#include <optional>

#include "apps/exit_status.hpp"
#include "apps/run_identity.hpp"
#include "cluster/mpi.hpp"
#include "cluster/signals.hpp"
#include "core/log.hpp"
#include "core/parallel.hpp"

namespace bitplan {
namespace {

std::string cpu_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::map<std::string, std::string> provenance(const SearchOptions& options, const Study& study, int ranks,
                                              int threads) {
  std::string command;
  for (const auto& word : options.command) command += (command.empty() ? "" : " ") + word;
  const bool integers = study.experiment.run.arithmetic != Arithmetic::floating && integer_kernels();
  return {{"version", BITPLAN_VERSION},
          {"arithmetic", integers ? "integer" : "float"},
          {"seed", std::to_string(study.experiment.seed)},
          {"ranks", std::to_string(ranks)},
          {"threads", std::to_string(threads)},
          {"cpu", cpu_name()},
          {"command", command},
          {"started", utc_now()}};
}

int threads_of(const Study& study) {
  return study.experiment.run.threads > 0 ? study.experiment.run.threads : default_threads();
}

std::filesystem::path directory_of(const SearchOptions& options, const Experiment& experiment) {
  return options.out ? *options.out : experiment.output;
}

/// Rank 0's knowledge of the run before the others hear of it.
struct Prepared {
  std::optional<Study> study;
  std::filesystem::path directory;
  std::string greeting;
};

/// Reads, checks, prints what is reachable and makes the directory; all that can be wrong is said here, by rank 0
/// alone.
Prepared prepare(const SearchOptions& options, int ranks) {
  Prepared prepared;
  auto experiment = Experiment::from(load_document(options.experiment, options.set));
  prepared.directory = directory_of(options, experiment);
  prepared.study.emplace(make_study(std::move(experiment)));
  const auto& study = *prepared.study;
  prepare_directory(prepared.directory, options.experiment, study, options.resume);
  open_event_log(prepared.directory / "log.jsonl");
  RunStatus status;
  status.name = study.experiment.name;
  status.version = BITPLAN_VERSION;
  try {
    log_info(announce(study, ranks, threads_of(study)));
  } catch (const InfeasibleError& e) {
    status.state = RunState::infeasible;
    status.reason = e.what();
    status.started = status.updated = utc_now();
    if (!std::filesystem::exists(prepared.directory / "run.db")) write_status(prepared.directory, status);
    throw;
  }
  return prepared;
}

ClusterOptions cluster_options(const Study& study, const RunIdentity& identity) {
  ClusterOptions options;
  options.threads = threads_of(study);
  options.evaluation_timeout = study.experiment.run.evaluation_timeout_s;
  options.retries = study.experiment.run.retries;
  options.heartbeat = study.experiment.run.heartbeat_s;
  options.identity = identity.hash;
  return options;
}

MeasureUnit unit_measure(const std::shared_ptr<Evaluator>& evaluator) {
  return [evaluator](const WorkUnit& unit, const std::atomic<bool>& stop) {
    return evaluator->measure(unit.assignment, unit.role, unit.chunks, &stop);
  };
}

/// Rank 0 from calibration to the files. What ends the run is written to status.json and thrown on.
void lead(const SearchOptions& options, const Prepared& prepared, Mailbox& mail, int ranks,
          const std::function<void(const SearchResult&)>& done) {
  const auto& study = *prepared.study;
  RunStatus status;
  status.name = study.experiment.name;
  status.version = BITPLAN_VERSION;
  status.started = utc_now();
  status.ranks = ranks;
  status.pid = static_cast<int>(::getpid());
  std::optional<Progress> progress;
  const auto begin = [&] { progress.emplace(prepared.directory, status, planned_trials(study), options.quiet); };
  const auto finish = [&](RunState state, const std::string& reason) {
    if (progress) progress->finish(state, reason);
  };
  if (!options.resume) begin();
  try {
    const auto evaluator = study.make_evaluator(prepared.directory / "weights");
    for (const auto& note : evaluator->notes()) log_info(note);
    const auto identity = RunIdentity::of(study, *evaluator);
    const auto cluster = cluster_options(study, identity);
    RunStore store =
        open_run(prepared.directory, study, identity, options.resume ? RunStore::Mode::resume : RunStore::Mode::fresh);
    remember_parts(store, identity);
    if (!progress) begin();  // a resume that is refused leaves the status of the run as it was
    write_experiment(prepared.directory, options.experiment, study);  // again: another search may have been faster
    if (options.resume && !store.resumed())
      log_info(prepared.directory.string() + ": nothing to resume, a new run begins");
    if (store.resumed())
      if (const auto again = store.forget_failures("evaluation_timeout"); again > 0)
        log_info(std::to_string(again) + (again == 1 ? " candidate that took too long is measured again"
                                                     : " candidates that took too long are measured again"));
    if (store.resumed())
      log_info("resuming " + prepared.directory.string() + ": " + std::to_string(store.counts().units) +
               " measurements are there");
    Coordinator coordinator(mail, store, cluster, unit_measure(evaluator),
                            [&](Role role) { return evaluator->chunks(role); });
    const auto result = run_study(study, *evaluator, coordinator, store, *progress, prepared.directory,
                                  provenance(options, study, ranks, cluster.threads));
    finish(RunState::done, "");
    done(result);
  } catch (const Interrupted& e) {
    finish(RunState::interrupted, e.what());
    throw;
  } catch (const InfeasibleError& e) {
    finish(RunState::infeasible, e.what());
    throw;
  } catch (const std::exception& e) {
    finish(RunState::failed, e.what());
    throw;
  }
}

void follow(const SearchOptions& options, const Yaml& document, Mailbox& mail) {
  const auto study = make_study(Experiment::from(document));
  const auto evaluator = study.make_evaluator(directory_of(options, study.experiment) / "weights");
  const auto cluster = cluster_options(study, RunIdentity::of(study, *evaluator));
  serve(mail, unit_measure(evaluator), {.identity = cluster.identity, .threads = cluster.threads});
}

}  // namespace

int search_on_ranks(const SearchOptions& options, const std::function<void(const SearchResult&)>& done) {
  catch_stop_signals();
  MpiRuntime mpi;
  if (mpi.rank() != 0 || options.quiet) silence_log();
  Prepared prepared;
  std::exception_ptr wrong;
  // Rank 0 alone meets what is wrong with the input; the others hear only how to end.
  const auto text = mpi.broadcast([&]() -> std::string {
    try {
      prepared = prepare(options, mpi.size());
      return "+" + prepared.study->experiment.document.dump();
    } catch (...) {
      wrong = std::current_exception();
      return "-" + std::to_string(exit_status(wrong));
    }
  });
  if (wrong) std::rethrow_exception(wrong);
  if (text.front() == '-') return std::stoi(text.substr(1));

  const auto document = Yaml::parse_text(text.substr(1), options.experiment.string());
  const auto run = mpi.rank() == 0 ? prepared.study->experiment.run : Experiment::from(document).run;
  Mailbox mail(mpi, {.heartbeat = run.heartbeat_s});
  int status = 0;
  try {
    mail.talk_while([&] {
      if (mpi.rank() == 0)
        lead(options, prepared, mail, mpi.size(), done);
      else
        follow(options, document, mail);
    });
  } catch (...) {
    status = mpi.rank() == 0 ? report_error(std::current_exception()) : exit_status(std::current_exception());
  }
  return mail.finish(status);  // the same status on every rank; does not wait for a rank that was lost
}

int search_command(const SearchOptions& options) {
  return search_on_ranks(options, [&](const SearchResult& result) {
    std::cout << (options.json ? result.json : result.text) << std::flush;
  });
}

}  // namespace bitplan
