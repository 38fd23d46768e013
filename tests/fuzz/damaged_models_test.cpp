#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <iostream>

#include "core/error.hpp"
#include "eval/executor/executor.hpp"
#include "model/interpret.hpp"
#include "tests/catch.hpp"
#include "tests/fuzz/models.hpp"

#ifdef __SANITIZE_ADDRESS__  // its shadow memory takes terabytes of addresses
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

namespace bitplan {
namespace {

using namespace test;

/// Six gigabytes of addresses for this process, unless a sanitizer needs more.
void bound_memory() {
  const rlimit limit{std::size_t{6} << 30, RLIM_INFINITY};
  if (!kSanitized) setrlimit(RLIMIT_AS, &limit);
}

double seconds_to_run() {
  const char* given = std::getenv("BITPLAN_FUZZ_SECONDS");
  return given ? std::atof(given) : kSanitized ? 40 : 8;
}

bool is_small(const Network& network) {
  std::int64_t elements = 0;
  for (const auto& tensor : network.tensors) elements += element_count(tensor.shape);
  return elements < 4096;
}

/// Runs the network on zeros, by both of its definitions.
void run(Network network) {
  std::vector<Tensor> inputs;
  for (const TensorId id : network.inputs) inputs.emplace_back(network.tensor(id).dtype, network.tensor(id).shape);
  interpret(network, inputs);
  const Executor executor(std::make_shared<const Network>(std::move(network)));
  const auto workspace = executor.make_workspace();
  executor.run(*workspace, inputs, {});
}

enum class End { refused, imported, ran };

/// What became of a model; anything but an InputError leaves through here.
End try_model(const std::filesystem::path& file) {
  End end = End::refused;
  try {
    Network network = import_onnx(file, {.shapes = {}, .batch = 2});
    end = End::imported;
    if (is_small(network)) {
      run(std::move(network));
      end = End::ran;
    }
  } catch (const InputError&) {
  }
  return end;
}

TEST_CASE("sound models import and run") {
  bound_memory();
  const TemporaryFolder folder;
  write_bytes(folder.path() / "data.bin", std::string(1 << 10, '\1'));
  const auto models = sound_models();
  std::size_t ran = 0;
  for (const auto& model : models) {
    write_bytes(folder.path() / "m.onnx", model);
    ran += try_model(folder.path() / "m.onnx") == End::ran ? 1 : 0;
  }
  CHECK(ran > models.size() * 3 / 4);  // the others feed what must be known at import, or have an empty tensor
}

TEST_CASE("damaged models are imported or refused, never more") {
  bound_memory();
  const TemporaryFolder folder;
  write_bytes(folder.path() / "data.bin", std::string(1 << 10, '\1'));
  const auto models = sound_models();
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds_to_run());
  std::size_t counts[3] = {};
  const char* first = std::getenv("BITPLAN_FUZZ_FIRST");  // to repeat one case: its number, with 0 seconds
  std::size_t i = first ? static_cast<std::size_t>(std::atoll(first)) : 0;
  do {
    Rng rng(1, "fuzz", i);
    write_bytes(folder.path() / "m.onnx", damaged(models[rng.below(models.size())], rng));
    try {
      ++counts[static_cast<int>(try_model(folder.path() / "m.onnx"))];
    } catch (const std::exception& e) {
      FAIL("case " << i << ": " << e.what());
    }
    ++i;
  } while (Clock::now() < end);
  std::cout << "fuzz: " << counts[0] << " refused, " << counts[1] << " imported, " << counts[2] << " run\n";
}

}  // namespace
}  // namespace bitplan
