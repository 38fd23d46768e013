#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/patches.hpp"
#include "quant/gram.hpp"
#include "quant/input_moments.hpp"

namespace bitplan {

/// Rows taken of sample `sample` of `samples` when at most `max_rows` (0: all) are wanted of all of them, ascending:
/// its share, one row from each of equal runs, at a place in it that depends on the sample and the run alone (a Weyl
/// sequence: neighbouring samples take other places, so that all positions of an image are seen).
std::vector<std::int64_t> chosen_rows(std::int64_t sample, std::int64_t samples, std::int64_t rows_per_sample,
                                      std::int64_t max_rows);

/// Sums up the moments of one layer. Rows wait until a multiple of 1024 (16 MB where that is more) are together,
/// whatever the chunks: what is summed together depends on the order of the samples only.
class MomentSums {
 public:
  MomentSums(const Patches& patches, bool with_cross, int threads);
  struct Row {
    std::int64_t sample, row;  ///< as Patches::place counts them
  };
  /// Rows of one run, in this order; `values` (and, with cross moments, `quantized`) is all of the layer's input.
  void add(std::span<const float> values, std::span<const float> quantized, std::span<const Row> rows);
  LayerMoments finish();

 private:
  std::span<float> buffered(std::vector<float>& buffer, std::int64_t group, std::int64_t index) const;
  void fill(std::span<const float> values, std::span<const float> quantized, std::span<const Row> rows);
  void flush();
  void add_group(std::int64_t group);
  void add_columns(std::int64_t group, std::int64_t first, std::int64_t last);

  const Patches& patches_;
  bool cross_, by_group_;  ///< by_group: one thread a group, instead of all threads in one group after the other
  int threads_;
  std::vector<GramAccumulator> grams_;   ///< by group
  std::vector<double> sums_, abs_sums_;  ///< of x [groups, columns]
  std::vector<float> abs_max_;
  std::vector<float> x_, xq_;  ///< rows that wait, [groups, room_, columns]
  std::int64_t room_, waiting_ = 0, seen_ = 0;
};

}  // namespace bitplan
