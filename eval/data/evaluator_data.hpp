#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "eval/data/dataset.hpp"

namespace bitplan {

/// Inputs of one run of the network: network.batch samples, of which the first `valid` are real; the rest repeat the
/// last.
struct Chunk {
  std::vector<Tensor> inputs;        ///< shapes as network.inputs
  std::vector<std::int64_t> labels;  ///< of the valid samples; empty without labels
  std::int64_t valid = 0;
};

/// One role of data, cut into chunks. Prepared chunks are kept up to `keep_bytes`, later ones are read each time.
class ChunkedData {
 public:
  ChunkedData(const DataSpec& spec, const Network& network, std::size_t keep_bytes);

  const DataSet& data() const { return *data_; }
  int chunks() const { return static_cast<int>(kept_.size()); }
  /// Chunk 0 … chunks() - 1. Thread-safe.
  std::shared_ptr<const Chunk> chunk(int index);

 private:
  std::unique_ptr<DataSet> data_;
  std::int64_t batch_;
  std::size_t keep_bytes_, kept_bytes_ = 0;
  std::mutex mutex_;
  std::vector<std::shared_ptr<const Chunk>> kept_;
};

}  // namespace bitplan
