#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/moments/patches.hpp"
#include "quant/moments/gram.hpp"
#include "quant/moments/input_moments.hpp"
#include "quant/moments/token_weights.hpp"

namespace bitplan {

/// Rows taken of sample `sample` of `samples` when at most `max_rows` (0: all) are wanted of all of them, ascending:
/// its share, one row from each of equal runs, at a place in it that depends on the sample and the run alone (a Weyl
/// sequence: neighbouring samples take other places, so that all positions of an image are seen).
std::vector<std::int64_t> chosen_rows(std::int64_t sample, std::int64_t samples, std::int64_t rows_per_sample,
                                      std::int64_t max_rows);

/// What moments are of.
enum class MomentsOf : std::uint8_t {
  inputs,  ///< one network's inputs: xq = x
  both,    ///< gram of xq, float means and magnitudes of x
  cross    ///< and cross moments
};

/// Sums up the moments of one layer. Rows wait until a multiple of 1024 (16 MB where that is more) are together,
/// whatever the chunks: what is summed together depends on the order of the samples only. Where, among the first rows
/// that waited together, a few tokens of a linear layer have most of the energy, the moments have `weighted` besides
/// (quant/moments/token_weights.hpp), which doubles cost and memory there.
class MomentSums {
 public:
  MomentSums(const Patches& patches, MomentsOf of, int threads);
  struct Row {
    std::int64_t sample, row;  ///< as Patches::place counts them
  };
  /// Rows of one run, in this order; `values`, and of both networks `quantized`, is all of the layer's input.
  void add(std::span<const float> values, std::span<const float> quantized, std::span<const Row> rows);
  LayerMoments finish();
  MomentsOf of() const { return of_; }

 private:
  std::span<float> buffered(std::vector<float>& buffer, std::int64_t group, std::int64_t index) const;
  void fill(std::span<const float> values, std::span<const float> quantized, std::span<const Row> rows);
  void flush();
  void weigh();
  void add_group(std::int64_t group);
  void add_columns(std::int64_t group, std::int64_t first, std::int64_t last);

  const Patches& patches_;
  MomentsOf of_;
  bool by_group_;  ///< one thread a group, instead of all threads in one group after the other
  int threads_;
  std::vector<GramAccumulator> grams_;  ///< by group
  std::optional<WeightedMoments> weighted_;
  std::vector<double> sums_, abs_sums_;  ///< of x [groups, columns]
  std::vector<float> abs_max_;
  std::vector<float> x_, xq_;  ///< rows that wait, [groups, room_, columns]
  std::int64_t room_, waiting_ = 0, seen_ = 0;
};

/// The rows that chunk `index` of the data gives when at most `max_rows` of all are wanted; `valid` samples of it
/// count.
std::vector<MomentSums::Row> rows_of_chunk(const Patches& patches, const ChunkedData& data, int index,
                                           std::int64_t valid, std::int64_t batch, std::int64_t max_rows);

}  // namespace bitplan
