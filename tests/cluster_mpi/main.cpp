// A search without a network: a few questions to the Coordinator whose answers are known, on any number of ranks, with
// faults on demand. Prints one line "hash H measured N reused N failed N lost N alarms N" and compares the hash with
// the one of a plain loop. Exit status: 0 equal, 1 different or failed, 2 usage, 3 invalid input, 75 interrupted.
//
//   cluster_mpi DIR [--clean] [--resume] [--sequential] [--candidates N] [--sleep-us N] [--timeout S] [--fault
//   KIND:A[:B]]
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <limits>
#include <thread>

#include "cluster/coordinator.hpp"
#include "cluster/signals.hpp"
#include "core/error.hpp"
#include "core/hash.hpp"
#include "core/log.hpp"
#include "core/rng.hpp"

namespace {

using namespace bitplan;

constexpr int kChunks = 19;  // 7 shards of 3, the last of 1

struct Settings {
  std::filesystem::path directory;
  bool clean = false;  ///< removes the directory first
  bool resume = false;
  bool sequential = false;  ///< questions of one candidate
  int candidates = 60;
  int sleep_us = 300;  ///< of one chunk
  double timeout = 60;
  std::string fault;  ///< "" or a word of Synthetic
  int a = -1, b = -1;
};

Settings settings_from(int argc, char** argv) {
  const auto number = [](const std::string& text) { return std::stoi(text); };
  Settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--clean") {
      s.clean = true;
    } else if (word == "--resume") {
      s.resume = true;
    } else if (word == "--sequential") {
      s.sequential = true;
    } else if (word.rfind("--", 0) != 0) {
      s.directory = word;
    } else if (i + 1 == argc) {
      throw UsageError(word + " needs a value");
    } else if (const std::string value = argv[++i]; word == "--candidates") {
      s.candidates = number(value);
    } else if (word == "--sleep-us") {
      s.sleep_us = number(value);
    } else if (word == "--timeout") {
      s.timeout = std::stod(value);
    } else if (word == "--fault") {
      const auto first = value.find(':'), second = value.find(':', first + 1);
      s.fault = value.substr(0, first);
      s.a = number(value.substr(first + 1));
      if (second != std::string::npos) s.b = number(value.substr(second + 1));
    } else {
      throw UsageError("unknown option " + word);
    }
  }
  if (s.directory.empty()) throw UsageError("no directory");
  return s;
}

Assignment candidate(int index) {
  Assignment assignment;
  for (int digit = 0; digit < 6; ++digit, index /= 5) assignment.push_back(static_cast<ChoiceId>(index % 5));
  return assignment;
}

int index_of(const Assignment& assignment) {
  int index = 0;
  for (auto it = assignment.rbegin(); it != assignment.rend(); ++it) index = 5 * index + *it;
  return index;
}

/// The sums of one chunk: any fixed function of candidate and chunk, with every field in use.
LossSums chunk_sums(const Assignment& assignment, int chunk) {
  Rng rng(static_cast<std::uint64_t>(index_of(assignment)), "synthetic", static_cast<std::uint64_t>(chunk));
  LossSums sums;
  sums.samples = 64;
  sums.positions = 64;
  sums.labelled = 64;
  sums.predictions = 64;
  sums.top1 = static_cast<std::int64_t>(rng.below(65));
  sums.top5 = 64;
  sums.agree = static_cast<std::int64_t>(rng.below(65));
  for (double* field : {&sums.kl, &sums.kl2, &sums.mse, &sums.mse2, &sums.cosine, &sums.cosine2, &sums.nll, &sums.nll2,
                        &sums.jsd, &sums.jsd2, &sums.signal, &sums.noise})
    *field = rng.unit() / 3;
  return sums;
}

/// Measures by sleeping, and goes wrong where the settings say so.
class Synthetic {
 public:
  Synthetic(const Settings& settings, int rank) : s_(settings), rank_(rank) {}

  std::vector<LossSums> operator()(const WorkUnit& unit, const std::atomic<bool>& stop) {
    ++units_;
    go_wrong(unit, stop);
    std::vector<LossSums> sums;
    for (int chunk = unit.chunks.first; chunk < unit.chunks.first + unit.chunks.count; ++chunk) {
      if (stop) throw Interrupted("told to stop");
      std::this_thread::sleep_for(std::chrono::microseconds(s_.sleep_us));
      sums.push_back(chunk_sums(unit.assignment, chunk));
      if (is("nan", unit)) {
        sums.back().kl = std::numeric_limits<double>::quiet_NaN();
        sums.back().invalid = 1;
      }
    }
    return sums;
  }

 private:
  bool is(const char* fault, const WorkUnit& unit) const {
    return s_.fault == fault && index_of(unit.assignment) == s_.a;
  }
  bool is_here(const char* fault) const { return s_.fault == fault && rank_ == s_.a && units_ == s_.b; }

  void go_wrong(const WorkUnit& unit, const std::atomic<bool>& stop) const {
    if (is_here("kill") || (is("poison", unit) && rank_ > 0)) std::raise(SIGKILL);
    if (is("poison", unit)) std::this_thread::sleep_for(std::chrono::milliseconds(200));
    if (is("throw", unit)) throw std::runtime_error("a planned failure");
    if (is_here("throw-once")) throw std::runtime_error("a planned failure");
    if (is("input", unit)) throw InputError("data.npy: sample 7 is NaN");
    if (is_here("freeze")) std::raise(SIGSTOP);
    while (is("hang", unit) || is_here("hang-once")) {
      if (stop) throw Interrupted("told to stop");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (is_here("stuck")) std::this_thread::sleep_for(std::chrono::hours(1));
  }

  Settings s_;
  int rank_;
  int units_ = 0;
};

/// Batches of 1, of a few, of many; with repetitions.
std::vector<std::vector<Assignment>> questions(const Settings& s) {
  std::vector<std::vector<Assignment>> questions;
  int next = 0;
  while (next < s.candidates) {
    const int left = s.candidates - next;
    const int size = s.sequential ? 1 : questions.size() < 3 ? 1 : questions.size() == 3 ? std::min(left, 5) : left;
    auto& batch = questions.emplace_back();
    for (int i = 0; i < size; ++i) batch.push_back(candidate(next++));
    if (size > 1) batch.push_back(batch.front());
  }
  return questions;
}

/// What the answer must be, from a plain loop.
Measured expected(const Assignment& assignment, const Settings& s) {
  Measured measured;
  const bool hit = index_of(assignment) == s.a;
  if (hit && (s.fault == "throw" || s.fault == "hang" || s.fault == "poison")) {
    measured.status = Measurement::Status::failed;
    return measured;
  }
  for (int chunk = 0; chunk < kChunks; ++chunk) measured.sums.add(chunk_sums(assignment, chunk));
  if (hit && s.fault == "nan") measured.status = Measurement::Status::invalid;
  return measured;
}

std::uint64_t hash_of(const Measured& measured, std::uint64_t seed) {
  const bool ok = measured.status == Measurement::Status::ok;
  const auto bytes = encode_sums({&measured.sums, ok ? 1u : 0u});
  return hash64(bytes, seed) + static_cast<std::uint64_t>(measured.status);
}

int ask(Mailbox& mail, const Settings& s, const ClusterOptions& options, const MeasureUnit& measure) {
  RunStore store(s.directory, options.identity, "test", s.resume ? RunStore::Mode::resume : RunStore::Mode::fresh);
  Coordinator coordinator(mail, store, options, measure, [](Role) { return kChunks; });
  std::uint64_t hash = 0, reference = 0;
  int failed = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& question : questions(s)) {
    const auto answers = coordinator.measure(question, Role::selection);
    for (std::size_t i = 0; i < question.size(); ++i) {
      hash = hash_of(answers[i], hash);
      reference = hash_of(expected(question[i], s), reference);
      if (answers[i].status != Measurement::Status::ok) {
        ++failed;
        std::cerr << "candidate " << index_of(question[i]) << ": " << answers[i].reason << '\n';
      }
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto& p = coordinator.progress();
  std::cerr << "seconds " << seconds << '\n';
  std::cout << "hash " << hex(hash) << " measured " << p.units_done << " reused " << p.units_reused << " failed "
            << failed << " lost " << p.ranks_lost << " alarms " << store.alarms().size() << std::endl;
  if (hash == reference) return 0;
  std::cerr << "the hash should be " << hex(reference) << '\n';
  return 1;
}

int run(Mailbox& mail, const Settings& s) {
  int status = 0;
  try {
    mail.talk_while([&] {
      const int rank = mail.rank();
      if (s.fault == "setup" && rank == s.a) throw std::runtime_error("a planned failure of the set-up");
      if (s.fault == "setup-input" && rank == s.a) throw InputError("data.npy: missing on this node");
      ClusterOptions options;
      options.threads = 1;
      options.heartbeat = 0.2;
      options.shortest_silence = 3;
      options.evaluation_timeout = s.timeout;
      options.identity = s.fault == "identity" && rank == s.a ? "another" : "synthetic";
      const auto synthetic = std::make_shared<Synthetic>(s, rank);
      const MeasureUnit measure = [synthetic](const WorkUnit& unit, const std::atomic<bool>& stop) {
        return (*synthetic)(unit, stop);
      };
      if (rank == 0)
        status = ask(mail, s, options, measure);
      else
        serve(mail, measure, {.identity = options.identity, .threads = options.threads});
    });
  } catch (const InputError& e) {
    if (mail.rank() == 0) std::cerr << "input error: " << e.what() << '\n';
    status = 3;
  } catch (const Interrupted& e) {
    std::cerr << "interrupted: " << e.what() << '\n';
    status = 75;
  } catch (const std::exception& e) {
    if (mail.rank() == 0) std::cerr << "error: " << e.what() << '\n';
    status = 1;
  }
  return mail.finish(status);
}

}  // namespace

int main(int argc, char** argv) try {
  const Settings settings = settings_from(argc, argv);
  catch_stop_signals();
  MpiRuntime mpi;
  if (mpi.rank() != 0) silence_log();
  const std::string made = mpi.broadcast([&] {
    if (settings.clean) std::filesystem::remove_all(settings.directory);
    std::filesystem::create_directories(settings.directory);
    return settings.directory.string();
  });
  if (made != settings.directory) throw UsageError("the broadcast came out wrong");
  Mailbox mail(mpi, {.heartbeat = 0.2, .patience = 15});
  return run(mail, settings);
} catch (const UsageError& e) {
  std::cerr << e.what() << '\n';
  return 2;
}
