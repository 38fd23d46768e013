#include "eval/data/evaluator_data.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace bitplan {
namespace {

/// The samples of `part` and copies of the last one up to `batch`.
Tensor padded(const Tensor& part, std::int64_t batch) {
  auto shape = part.shape();
  const auto valid = static_cast<std::size_t>(shape[0]);
  const auto width = part.byte_size() / valid;
  shape[0] = batch;
  Tensor whole(part.dtype(), shape);
  auto* out = whole.mutable_bytes();
  std::memcpy(out, part.bytes(), valid * width);
  for (auto i = valid; i < static_cast<std::size_t>(batch); ++i)
    std::memcpy(out + i * width, out + (valid - 1) * width, width);
  return whole;
}

}  // namespace

ChunkedData::ChunkedData(const DataSpec& spec, const Network& network, std::size_t keep_bytes)
    : data_(open_dataset(spec, network)), batch_(network.batch), keep_bytes_(keep_bytes) {
  kept_.resize(static_cast<std::size_t>((data_->samples() + batch_ - 1) / batch_));
}

std::shared_ptr<const Chunk> ChunkedData::chunk(int index) {
  const auto at = static_cast<std::size_t>(index);
  assert(at < kept_.size());
  {
    const std::scoped_lock lock(mutex_);
    if (kept_[at]) return kept_[at];
  }
  const auto first = index * batch_;
  auto chunk = std::make_shared<Chunk>();
  chunk->valid = std::min(batch_, data_->samples() - first);
  auto batch = data_->read(first, chunk->valid);
  chunk->labels = std::move(batch.labels);
  std::size_t bytes = 0;
  for (auto& input : batch.inputs) {
    chunk->inputs.push_back(chunk->valid == batch_ ? std::move(input) : padded(input, batch_));
    bytes += chunk->inputs.back().byte_size();
  }
  const std::scoped_lock lock(mutex_);
  if (!kept_[at] && kept_bytes_ + bytes <= keep_bytes_) {
    kept_[at] = chunk;
    kept_bytes_ += bytes;
  }
  return chunk;
}

}  // namespace bitplan
