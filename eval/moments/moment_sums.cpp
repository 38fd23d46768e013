#include "eval/moments/moment_sums.hpp"

#include <algorithm>
#include <cmath>
#include <oneapi/dnnl/dnnl.hpp>

#include "core/error.hpp"
#include "core/parallel_chunks.hpp"

namespace bitplan {
namespace {

constexpr std::int64_t kRowsTogether = 32;                ///< copied by one thread
constexpr std::int64_t kWaiting = std::int64_t{1} << 22;  ///< values: many rows a time, as threads wait for each other

/// Rows that wait: whole runs of the accumulators.
std::int64_t room_for(std::int64_t columns) {
  return std::max<std::int64_t>(1, kWaiting / columns / GramAccumulator::kRun) * GramAccumulator::kRun;
}

/// oneDNN's product, in float: a third of the time of transposed_product, which sums in double.
void fast_product(std::int64_t rows, std::int64_t stride, const float* left, std::int64_t m, const float* right,
                  std::int64_t n, double* sums) {
  alignas(64) float products[GramAccumulator::kTile * GramAccumulator::kTile];
  dnnl::error::wrap_c_api(dnnl_sgemm('T', 'N', m, n, rows, 1.0F, left, stride, right, stride, 0.0F, products, n),
                          "a product of inputs failed");
  for (std::int64_t i = 0; i < m * n; ++i) sums[i] += static_cast<double>(products[i]);
}

std::vector<float> part(std::span<const double> sums, std::int64_t group, std::int64_t columns, std::int64_t rows) {
  std::vector<float> out(static_cast<std::size_t>(columns));
  for (std::size_t c = 0; c < out.size(); ++c)
    out[c] = static_cast<float>(sums[static_cast<std::size_t>(group * columns) + c] / static_cast<double>(rows));
  return out;
}

}  // namespace

std::vector<std::int64_t> chosen_rows(std::int64_t sample, std::int64_t samples, std::int64_t rows_per_sample,
                                      std::int64_t max_rows) {
  const std::int64_t all = samples * rows_per_sample, wanted = max_rows <= 0 ? all : std::min(max_rows, all);
  const std::int64_t count = (sample + 1) * wanted / samples - sample * wanted / samples;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t first = i * rows_per_sample / count, width = (i + 1) * rows_per_sample / count - first;
    // Fractions of the golden and the silver ratio, as 64-bit integers that wrap.
    const std::uint64_t fraction =
        static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15U + static_cast<std::uint64_t>(sample) * 0x6a09e667f3bcc909U;
    rows[static_cast<std::size_t>(i)] =
        first + static_cast<std::int64_t>(((fraction >> 32) * static_cast<std::uint64_t>(width)) >> 32);
  }
  return rows;
}

MomentSums::MomentSums(const Patches& patches, MomentsOf of, int threads)
    : patches_(patches),
      of_(of),
      by_group_(patches.groups() >= threads && patches.columns() <= 4 * GramAccumulator::kTile),
      threads_(threads),
      room_(room_for(patches.groups() * patches.columns())) {
  const auto columns = static_cast<std::size_t>(patches.groups() * patches.columns());
  grams_.reserve(static_cast<std::size_t>(patches.groups()));
  for (std::int64_t g = 0; g < patches.groups(); ++g)
    grams_.emplace_back(patches.columns(), of == MomentsOf::cross, by_group_ ? 1 : threads, fast_product);
  sums_.resize(columns);
  abs_sums_.resize(columns);
  abs_max_.resize(columns);
  x_.resize(columns * static_cast<std::size_t>(room_));
  if (of != MomentsOf::inputs) xq_.resize(x_.size());
}

std::span<float> MomentSums::buffered(std::vector<float>& buffer, std::int64_t group, std::int64_t index) const {
  const auto columns = static_cast<std::size_t>(patches_.columns());
  return std::span(buffer).subspan(static_cast<std::size_t>(group * room_ + index) * columns, columns);
}

void MomentSums::add(std::span<const float> values, std::span<const float> quantized, std::span<const Row> rows) {
  while (!rows.empty()) {
    const auto some = std::min(rows.size(), static_cast<std::size_t>(room_ - waiting_));
    fill(values, quantized, rows.first(some));
    waiting_ += static_cast<std::int64_t>(some);
    rows = rows.subspan(some);
    if (waiting_ == room_) flush();
  }
}

void MomentSums::fill(std::span<const float> values, std::span<const float> quantized, std::span<const Row> rows) {
  parallel_chunks(std::ssize(rows), kRowsTogether, threads_, [&](std::int64_t first, std::int64_t count, int) {
    const auto some = rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    std::vector<Patches::Place> places;
    for (const Row& row : some) places.push_back(patches_.place(row.sample, row.row));
    for (std::int64_t g = 0; g < patches_.groups(); ++g)
      for (std::size_t i = 0; i < places.size(); ++i) {
        const std::int64_t at = waiting_ + first + static_cast<std::int64_t>(i);
        patches_.copy(values, places[i], g, buffered(x_, g, at).data());
        if (of_ != MomentsOf::inputs) patches_.copy(quantized, places[i], g, buffered(xq_, g, at).data());
      }
  });
}

void MomentSums::flush() {
  if (waiting_ == 0) return;
  const std::int64_t groups = patches_.groups(), columns = patches_.columns(), width = GramAccumulator::kTile;
  if (by_group_) {
    parallel_for(static_cast<std::size_t>(groups), threads_, [&](std::size_t g, int) {
      add_group(static_cast<std::int64_t>(g));
      add_columns(static_cast<std::int64_t>(g), 0, columns);
    });
  } else {
    for (std::int64_t g = 0; g < groups; ++g) {
      add_group(g);
      parallel_for(static_cast<std::size_t>((columns + width - 1) / width), threads_, [&](std::size_t block, int) {
        const std::int64_t first = static_cast<std::int64_t>(block) * width;
        add_columns(g, first, std::min(first + width, columns));
      });
    }
  }
  weigh();
  seen_ += waiting_;
  waiting_ = 0;
}

/// After all else: the rows that wait are not needed as they are any more.
void MomentSums::weigh() {
  if (patches_.is_convolution() || patches_.rows_per_sample() == 1) return;
  const auto size = static_cast<std::size_t>(waiting_ * patches_.columns());
  const std::span<float> x = std::span(x_).first(size);
  if (seen_ == 0)
    if (const auto usual = usual_energy(x, patches_.columns()))
      weighted_.emplace(*usual, patches_.columns(), of_ == MomentsOf::cross, threads_, fast_product);
  if (weighted_) weighted_->add(x, of_ == MomentsOf::inputs ? std::span<float>() : std::span(xq_).first(size));
}

void MomentSums::add_group(std::int64_t group) {
  const auto size = static_cast<std::size_t>(waiting_ * patches_.columns());
  const std::span<const float> x(buffered(x_, group, 0).data(), size);
  auto& gram = grams_[static_cast<std::size_t>(group)];
  if (of_ == MomentsOf::inputs) return gram.add(x);
  const std::span<const float> xq(buffered(xq_, group, 0).data(), size);
  if (of_ == MomentsOf::both) return gram.add(xq);
  gram.add(xq, x);
}

void MomentSums::add_columns(std::int64_t group, std::int64_t first, std::int64_t last) {
  const std::size_t offset = static_cast<std::size_t>(group * patches_.columns());
  double *sums = sums_.data() + offset, *abs_sums = abs_sums_.data() + offset;
  float* most = abs_max_.data() + offset;
  for (std::int64_t r = 0; r < waiting_; ++r) {
    const float* x = buffered(x_, group, r).data();
    for (std::int64_t c = first; c < last; ++c) {
      const float magnitude = std::abs(x[c]);
      sums[c] += static_cast<double>(x[c]);
      abs_sums[c] += static_cast<double>(magnitude);
      most[c] = most[c] < magnitude ? magnitude : most[c];
    }
  }
}

LayerMoments MomentSums::finish() {
  flush();
  LayerMoments moments;
  moments.groups = patches_.groups();
  moments.columns = patches_.columns();
  moments.rows = seen_;
  for (std::int64_t g = 0; g < moments.groups; ++g) {
    auto& gram = grams_[static_cast<std::size_t>(g)];
    moments.gram.push_back(gram.gram());
    if (of_ == MomentsOf::cross) moments.cross.push_back(gram.cross());
    moments.mean.push_back(gram.mean());
    moments.float_mean.push_back(part(sums_, g, moments.columns, seen_));
    moments.abs_mean.push_back(part(abs_sums_, g, moments.columns, seen_));
    const auto first = abs_max_.begin() + g * moments.columns;
    moments.abs_max.emplace_back(first, first + moments.columns);
  }
  if (weighted_) moments.weighted = std::make_shared<const LayerMoments>(weighted_->finish());
  return moments;
}

std::vector<MomentSums::Row> rows_of_chunk(const Patches& patches, const ChunkedData& data, int index,
                                           std::int64_t valid, std::int64_t batch, std::int64_t max_rows) {
  const bool by_sample = patches.by_sample();
  const std::int64_t samples = by_sample ? data.data().samples() : data.chunks();
  std::vector<MomentSums::Row> rows;
  for (std::int64_t s = 0; s < patches.samples_of(valid); ++s) {
    const std::int64_t sample = by_sample ? index * batch + s : index;
    for (const auto row : chosen_rows(sample, samples, patches.rows_per_sample(), max_rows)) rows.push_back({s, row});
  }
  return rows;
}

}  // namespace bitplan
