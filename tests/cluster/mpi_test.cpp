// The coordinator and its workers under faults: runs tests/cluster_mpi, which compares its answers with a plain loop.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "cluster/run_store.hpp"
#include "core/files.hpp"
#include "tests/catch.hpp"
#include "tests/cluster/sample_data.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;

namespace {

using Words = std::vector<std::string>;

struct Outcome {
  int status = -1;  ///< exit status; 128 + signal when killed
  std::string out, err;
  std::int64_t number(const std::string& word) const {
    const auto at = out.find(word + ' ');
    return at == std::string::npos ? -1 : std::stoll(out.substr(at + word.size() + 1));
  }
};

/// A started program, its output in files of the folder.
class Process {
 public:
  Process(const TemporaryFolder& folder, const Words& words) : folder_(folder.path()) {
    id_ = fork();
    if (id_ != 0) return;
    setpgid(0, 0);
    const auto open_as = [&](const char* name, int descriptor) {
      dup2(open((folder_ / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), descriptor);
    };
    open_as("out", STDOUT_FILENO);
    open_as("err", STDERR_FILENO);
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                             "OMPI_MCA_rmaps_base_oversubscribe", "OMP_NUM_THREADS"})
      setenv(name, "1", 1);
    setenv("OMPI_MCA_hwloc_base_binding_policy", "none", 1);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Process() {
    if (!ended_) kill(-id_, SIGKILL);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const { kill(id_, number); }
  Outcome wait() {
    int status = 0;
    waitpid(id_, &status, 0);
    ended_ = true;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text(folder_ / "out"),
            read_text(folder_ / "err")};
  }

 private:
  std::filesystem::path folder_;
  pid_t id_ = -1;
  bool ended_ = false;
};

Words program(const TemporaryFolder& folder, const Words& arguments) {
  Words words{BITPLAN_MPI_PROGRAM, (folder.path() / "run").string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

Words under_mpirun(int ranks, const Words& words, bool recovery = false) {
  Words all{BITPLAN_MPIEXEC};
  if (recovery) all.push_back("--enable-recovery");
  all.insert(all.end(), {"-n", std::to_string(ranks)});
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

Outcome run(const TemporaryFolder& folder, const Words& words) { return Process(folder, words).wait(); }

/// Waits until the running search has stored some units.
void wait_for_units(const TemporaryFolder& folder, std::int64_t units) {
  for (;;) {
    try {
      if (RunReader(folder.path() / "run").counts().units >= units) return;
    } catch (const std::runtime_error&) {  // not there yet
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

constexpr std::int64_t kUnits = 420;  // 60 candidates of 7 shards

}  // namespace

TEST_CASE("a failure that happens once is measured again and changes nothing") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(2, program(folder, {"--fault", "throw-once:1:5"})));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("measured") == kUnits);
  CHECK(outcome.number("failed") == 0);
}

TEST_CASE("a candidate that always throws is failed with the reason, and the search goes on") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(2, program(folder, {"--fault", "throw:7"})));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("failed") == 1);
  CHECK_THAT(outcome.err, Contains("a planned failure (attempt 3 of 3)"));
  const auto again = run(folder, under_mpirun(2, program(folder, {"--fault", "throw:7", "--resume"})));
  CHECK(again.status == 0);  // it stays failed, and is not tried again
  CHECK(again.number("measured") == 0);
  CHECK_THAT(again.err, !Contains("warning"));
}

TEST_CASE("a candidate with NaN outputs is invalid, and says how many samples") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, program(folder, {"--fault", "nan:7"}));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("measured") == kUnits);
  CHECK_THAT(outcome.err, Contains("candidate 7: 19 of 1216 samples have NaN or infinite outputs"));
}

TEST_CASE("an evaluation that hangs is stopped after evaluation_timeout and measured elsewhere") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(2, program(folder, {"--fault", "hang-once:1:5", "--timeout", "1"})));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("failed") == 0);
  CHECK(outcome.number("lost") == 0);
}

TEST_CASE("a candidate that hangs everywhere is failed with the reason") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, program(folder, {"--fault", "hang:7", "--timeout", "0.5", "--candidates", "20"}));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("failed") == 1);
  CHECK_THAT(outcome.err, Contains("an evaluation took longer than evaluation_timeout = 500 ms (attempt 3 of 3)"));
}

TEST_CASE("an evaluation that does not stop costs its rank, not the run") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(2, program(folder, {"--fault", "stuck:1:5", "--timeout", "0.5"})));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("lost") == 1);
  CHECK_THAT(outcome.err, Contains("rank 1 is given up: an evaluation does not stop"));
}

TEST_CASE("wrong input found by an evaluation ends the run with its message") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(2, program(folder, {"--fault", "input:7"})));
  CHECK(outcome.status == 3);
  CHECK_THAT(outcome.err, Contains("input error: data.npy: sample 7 is NaN"));
}

TEST_CASE("a rank whose set-up fails is lost, one that lacks input or has other input ends the run") {
  const TemporaryFolder lost, lacks, other;
  const auto outcome = run(lost, under_mpirun(2, program(lost, {"--fault", "setup:1"})));
  CHECK(outcome.status == 0);
  CHECK(outcome.number("measured") == kUnits);
  CHECK_THAT(outcome.err, Contains("rank 1 is given up: a planned failure of the set-up"));
  const auto input = run(lacks, under_mpirun(2, program(lacks, {"--fault", "setup-input:1", "--sleep-us", "5000"})));
  CHECK(input.status == 3);
  CHECK_THAT(input.err, Contains("input error: rank 1: data.npy: missing on this node"));
  const auto identity = run(other, under_mpirun(2, program(other, {"--fault", "identity:1", "--sleep-us", "5000"})));
  CHECK(identity.status == 3);
  CHECK_THAT(identity.err, Contains("rank 1 was set up with another experiment, model or data (another) than rank 0 "
                                    "(synthetic)"));
}

TEST_CASE("with --enable-recovery the others finish when a rank is killed, with the same result") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(3, program(folder, {"--fault", "kill:1:5"}), true));
  CHECK(outcome.number("measured") == kUnits);
  CHECK(outcome.number("lost") == 1);
  CHECK(outcome.number("alarms") == 0);
  CHECK_THAT(outcome.err, Contains("rank 1 is given up: nothing was heard from it for 3 s") && !Contains("should be"));
}

TEST_CASE("a frozen rank is given up and does not hold the end of the job") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(3, program(folder, {"--fault", "freeze:1:5"}), true));
  CHECK(outcome.number("measured") >= kUnits);
  CHECK(outcome.number("lost") == 1);
  CHECK_THAT(outcome.err, !Contains("should be"));
}

TEST_CASE("a candidate on which ranks die is failed with the reason, and the search goes on") {
  const TemporaryFolder folder;
  const auto outcome = run(folder, under_mpirun(4, program(folder, {"--fault", "poison:7"}), true));
  CHECK(outcome.number("failed") == 1);
  CHECK_THAT(outcome.err, Contains("candidate 7: 2 ranks died while they measured it") && !Contains("should be"));
}

TEST_CASE("a plain mpirun dies with a killed rank, and --resume measures nothing twice") {
  const TemporaryFolder folder;
  const auto killed = run(folder, under_mpirun(2, program(folder, {"--fault", "kill:1:20"})));
  CHECK(killed.status == 128 + SIGKILL);
  const auto stored = RunReader(folder.path() / "run").counts().units;
  const auto resumed = run(folder, under_mpirun(2, program(folder, {"--resume"})));
  CHECK(resumed.status == 0);
  CHECK(resumed.number("reused") == stored);
  CHECK(resumed.number("measured") == kUnits - stored);
}

TEST_CASE("a killed coordinator is resumed on another number of ranks, and measures nothing twice") {
  const TemporaryFolder folder;
  for (const int units : {20, 150, 300}) {
    Process search(folder, program(folder, {"--resume", "--sleep-us", "1000"}));
    wait_for_units(folder, units);
    search.signal(SIGKILL);
    CHECK(search.wait().status == 128 + SIGKILL);
  }
  const auto stored = RunReader(folder.path() / "run").counts().units;
  CHECK(stored >= 300);
  const auto resumed = run(folder, under_mpirun(2, program(folder, {"--resume"})));
  CHECK(resumed.status == 0);
  CHECK(resumed.number("reused") == stored);
  CHECK(resumed.number("measured") == kUnits - stored);
  CHECK(resumed.number("alarms") == 0);
}

TEST_CASE("SIGUSR1 to mpirun and SIGTERM to one process end with status 75, and --resume goes on") {
  struct Case {
    int ranks, signal;
    std::string name;
  };
  for (const Case& c : {Case{2, SIGUSR1, "SIGUSR1"}, Case{1, SIGTERM, "SIGTERM"}}) {
    const TemporaryFolder folder;
    const auto words = program(folder, {"--sleep-us", "2000"});
    Process search(folder, c.ranks == 1 ? words : under_mpirun(c.ranks, words));
    wait_for_units(folder, 30);
    search.signal(c.signal);
    const auto outcome = search.wait();
    CHECK(outcome.status == 75);
    CHECK_THAT(outcome.err, Contains("interrupted: " + c.name + " came; "));
    const auto stored = RunReader(folder.path() / "run").counts().units;
    const auto resumed = run(folder, under_mpirun(2, program(folder, {"--resume"})));
    CHECK(resumed.status == 0);
    CHECK(resumed.number("measured") == kUnits - stored);
  }
}
