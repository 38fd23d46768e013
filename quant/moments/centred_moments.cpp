#include "quant/moments/centred_moments.hpp"

#include <algorithm>
#include <cstddef>

namespace bitplan {
namespace {

/// E l r^T, of means l and r, about a and b.
void move(std::vector<float>& matrix, const std::vector<float>& left, const std::vector<float>& right,
          const std::vector<float>& a, const std::vector<float>& b) {
  const std::size_t width = left.size();
  for (std::size_t i = 0; i < matrix.size(); ++i) {
    const auto l = static_cast<double>(left[i / width]), r = static_cast<double>(right[i % width]);
    const auto from = static_cast<double>(a[i / width]), to = static_cast<double>(b[i % width]);
    matrix[i] = static_cast<float>(static_cast<double>(matrix[i]) - from * to - (l - from) * to - from * (r - to));
  }
}

void centre(LayerMoments& moments, const LayerMoments& about) {
  const auto width = static_cast<std::size_t>(moments.columns);
  for (std::size_t g = 0; g < moments.gram.size(); ++g) {
    const std::vector<float>&mean = moments.mean[g], &other = moments.float_mean[g];
    move(moments.gram[g], mean, mean, about.mean[g], about.mean[g]);
    if (!moments.cross.empty()) move(moments.cross[g], mean, other, about.mean[g], about.float_mean[g]);
    for (std::size_t c = 0; c < width; ++c)  // a constant input, to the last digits
      moments.gram[g][c * (width + 1)] = std::max(moments.gram[g][c * (width + 1)], 0.0F);
  }
}

}  // namespace

LayerMoments changed(const LayerMoments& moments, const std::function<void(LayerMoments&)>& change) {
  LayerMoments out = moments;
  change(out);
  if (!out.weighted) return out;
  LayerMoments weighted = *out.weighted;
  change(weighted);
  out.weighted = std::make_shared<const LayerMoments>(std::move(weighted));
  return out;
}

LayerMoments centred(const LayerMoments& moments) {
  const LayerMoments& about = moments.weighted ? *moments.weighted : moments;
  return changed(moments, [&](LayerMoments& of) { centre(of, about); });
}

}  // namespace bitplan
