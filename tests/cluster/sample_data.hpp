#pragma once

#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>

#include "cluster/run_store.hpp"

namespace bitplan {

/// A folder that is gone at the end of a test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "bitplan-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Sums in which every field has a value of its own.
inline LossSums sample_sums(int seed) {
  LossSums s;
  s.samples = 64 + seed;
  s.invalid = seed % 2;
  s.positions = 640;
  s.labelled = 60;
  s.predictions = 600;
  s.top1 = 50 + seed;
  s.top5 = 59;
  s.agree = 55;
  s.kl = 0.1 * seed, s.kl2 = 0.2, s.mse = 0.3, s.mse2 = 0.4, s.cosine = 0.5, s.cosine2 = 0.6, s.nll = 0.7, s.nll2 = 0.8;
  s.jsd = 0.9, s.jsd2 = 1.1, s.top1_2 = 1.2, s.top5_2 = 1.3, s.agree2 = 1.4;
  s.signal = 1e300, s.noise = -1e-300;
  return s;
}

inline RunStore::Unit sample_unit(int index, int chunks = 2) {
  RunStore::Unit unit;
  unit.assignment = {static_cast<ChoiceId>(index % 7), static_cast<ChoiceId>(index / 7), 3};
  unit.chunks = {2 * (index % 4), chunks};
  for (int i = 0; i < chunks; ++i) unit.sums.push_back(sample_sums(index + i));
  unit.rank = index % 3;
  unit.seconds = 0.25;
  return unit;
}

}  // namespace bitplan
