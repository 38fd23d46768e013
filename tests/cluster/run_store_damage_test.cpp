// What happens to run.db when the process dies, the disk is full, or the file is damaged.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <set>

#include "cluster/run_store.hpp"
#include "core/error.hpp"
#include "core/files.hpp"
#include "core/rng.hpp"
#include "tests/catch.hpp"
#include "tests/cluster/sample_data.hpp"

using namespace bitplan;
using Catch::Matchers::Contains;

namespace {

RunStore open_store(const std::filesystem::path& folder) {
  return RunStore(folder, "exp-1", "0.1", RunStore::Mode::resume);
}

/// Child process: stores batches of units for ever and says on the pipe which ones are stored.
[[noreturn]] void store_until_killed(const std::filesystem::path& folder, int pipe, int first) {
  try {
    RunStore store = open_store(folder);
    for (int index = first;; index += 3) {
      const std::array units{sample_unit(index), sample_unit(index + 1), sample_unit(index + 2)};
      store.add_units(units);
      for (int i = index; i < index + 3; ++i)
        if (write(pipe, &i, sizeof i) != sizeof i) _exit(1);
    }
  } catch (const std::exception&) {
    _exit(2);
  }
}

/// Lets a child store units until it has reported `reports` of them, kills it, and returns all it reported.
std::set<int> kill_while_storing(const std::filesystem::path& folder, int first, std::size_t reports) {
  std::array<int, 2> pipe_ends{};
  REQUIRE(pipe(pipe_ends.data()) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(pipe_ends[0]);
    store_until_killed(folder, pipe_ends[1], first);
  }
  close(pipe_ends[1]);
  std::set<int> stored;
  int index = 0;
  while (stored.size() < reports && read(pipe_ends[0], &index, sizeof index) == sizeof index) stored.insert(index);
  kill(child, SIGKILL);
  while (read(pipe_ends[0], &index, sizeof index) == sizeof index) stored.insert(index);
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  return stored;
}

bool holds(const RunStore& store, int index) {
  const auto expected = sample_unit(index);
  for (const auto& unit : store.units(expected.assignment, expected.role))
    if (unit.chunks.first == expected.chunks.first && unit.sums == expected.sums) return true;
  return false;
}

/// Opens and reads all of it; any outcome is right but a crash or wrong figures.
void read_all(const std::filesystem::path& folder, int units) {
  try {
    const RunStore store = open_store(folder);
    for (int index = 0; index < units; ++index) {
      const auto expected = sample_unit(index);
      for (const auto& unit : store.units(expected.assignment, expected.role)) CHECK(unit.sums.size() == 2);
    }
    store.trials();
  } catch (const InputError& error) {
    CHECK_THAT(error.what(), Contains("run.db"));
  }
}

}  // namespace

TEST_CASE("nothing that was reported as stored is lost when the process is killed") {
  const TemporaryFolder folder;
  std::set<int> stored;
  int first = 0;
  for (const std::size_t reports : {1, 7, 30, 100}) {
    const auto more = kill_while_storing(folder.path(), first, reports);
    CHECK(more.size() >= reports);
    stored.insert(more.begin(), more.end());
    first = *stored.rbegin() + 4;
  }
  const RunStore store = open_store(folder.path());
  for (const int index : stored) CHECK(holds(store, index));
  CHECK(store.alarms().empty());
  // At most one transaction of each process was stored but not reported.
  CHECK(store.counts().units <= static_cast<std::int64_t>(stored.size() + 4 * 3));
}

TEST_CASE("a full disk is an error, and what was stored before is kept") {
  const TemporaryFolder folder;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    try {
      RunStore store = open_store(folder.path());
      const rlimit limit{300000, 300000};
      setrlimit(RLIMIT_FSIZE, &limit);
      std::ofstream count(folder.path() / "stored");
      for (int index = 0; index < 100000; ++index) {
        const auto unit = sample_unit(index);
        store.add_units({&unit, 1});
        count << index << '\n' << std::flush;
      }
      _exit(0);
    } catch (const InputError&) {
      _exit(3);
    } catch (const std::runtime_error& error) {
      std::ofstream(folder.path() / "message") << error.what() << std::flush;
      _exit(1);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 1);
  CHECK_THAT(
      read_text(folder.path() / "message"),
      Contains("run.db: ") && Contains("; what was stored before is kept: make space, then go on with --resume"));
  const RunStore store = open_store(folder.path());
  std::ifstream stored(folder.path() / "stored");
  int index = 0, count = 0;
  for (; stored >> index; ++count) CHECK(holds(store, index));
  CHECK(count > 10);
  CHECK(store.counts().units == count);
}

TEST_CASE("a run.db cut short or with wrong bytes gives a message, never a crash or a wrong size") {
  const TemporaryFolder folder;
  constexpr int kUnits = 60;
  {
    RunStore store = open_store(folder.path());
    std::vector<RunStore::Unit> units;
    for (int i = 0; i < kUnits; ++i) units.push_back(sample_unit(i));
    store.add_units(units);
  }
  const auto file = folder.path() / "run.db";
  const std::string whole = read_text(file);
  REQUIRE(whole.size() > 20000);
  const auto put = [&](const std::string& content) {
    std::filesystem::remove(folder.path() / "run.db-wal");
    std::filesystem::remove(folder.path() / "run.db-shm");
    std::ofstream(file, std::ios::binary) << content;
  };
  for (std::size_t size = 1; size < whole.size(); size += 1 + size / 3) {
    put(whole.substr(0, size));
    INFO(size << " of " << whole.size() << " bytes");
    CHECK_THROWS_AS(open_store(folder.path()), InputError);
  }
  put(std::string(5000, 'x'));
  CHECK_THROWS_WITH(
      open_store(folder.path()),
      Contains("run.db: file is not a database; the file is damaged: restore it, or start again in another "
               "directory"));
  Rng rng(1, "damage");
  for (int round = 0; round < 100; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 4; ++i) damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    put(damaged);
    read_all(folder.path(), kUnits);
  }
}
