#include <algorithm>
#include <cmath>

#include "core/npy.hpp"
#include "quant/formats/kmeans.hpp"
#include "quant/formats/levels.hpp"
#include "quant/formats/xnor.hpp"
#include "quant/roundings/billm.hpp"
#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

namespace bitplan::test {
namespace {

/// The squared error of the format on the whole tensor.
double codebook_inertia(const GoldenCase& golden, const std::vector<float>& weight) {
  const Choice choice = choice_of("codebook4:tensor", golden.integer("bits").value());
  const QuantizedWeight out = quantize_weight(weight, {1, 1, static_cast<std::int64_t>(weight.size())}, choice);
  return out.mse * static_cast<double>(weight.size());
}

/// From the case's centres our iteration may end in another local optimum only where a cluster runs empty: then what
/// the format makes, from centres of its own, counts. From equally spaced centres, which the format tries too, it must
/// be no worse in any case.
Outcome check_kmeans(const GoldenCase& golden) {
  const auto weight = golden.floats("weight");
  const auto start = golden.doubles("init_centroids");
  const double theirs = golden.number("inertia").value(), code_book = codebook_inertia(golden, weight);
  const KMeans given = k_means_from(weight, {}, start);
  const KMeans linear = k_means(weight, {}, static_cast<int>(start.size()), KMeansStart::linear);
  Comparison is(golden);
  is.holds(start.size() == std::size_t{1} << golden.integer("bits").value(), "there are 2^bits centres");
  if (std::abs(linear.inertia - given.inertia) <= 1e-5 * given.inertia)
    is.at_most("inertia of the code book", code_book, theirs, 1 + 1e-5);
  return is.at_most("inertia", std::min(given.inertia, code_book), theirs, 1 + 1e-5).outcome();
}

/// Values whose magnitude is so near to a threshold that other sums put them on the other side.
std::vector<std::int64_t> except_near(std::vector<std::int64_t> ours, const std::vector<std::int64_t>& theirs,
                                      const std::vector<float>& weight, const std::vector<double>& threshold,
                                      std::vector<bool>& same) {
  for (std::size_t i = 0; i < ours.size() && i < theirs.size(); ++i) {
    if (std::abs(std::abs(static_cast<double>(weight[i])) - threshold[i]) <= 1e-7) ours[i] = theirs[i];
    same.push_back(ours[i] == theirs[i]);
  }
  return ours;
}

/// Where the codes' levels stand among all; a pattern that is none of the levels' is -0.
std::vector<std::int64_t> level_indices(const Levels& levels, std::vector<std::int64_t> codes) {
  for (auto& code : codes) {
    const auto found = std::find(levels.codes().begin(), levels.codes().end(), code);
    code = (found == levels.codes().end() ? std::find(levels.codes().begin(), levels.codes().end(), 0) : found) -
           levels.codes().begin();
  }
  return codes;
}

std::vector<float> row_means(const std::vector<float>& values, std::int64_t rows) {
  std::vector<float> out;
  const std::size_t length = values.size() / static_cast<std::size_t>(rows);
  for (std::size_t begin = 0; begin < values.size(); begin += length) {
    double sum = 0;
    for (std::size_t i = begin; i < begin + length; ++i) sum += std::abs(static_cast<double>(values[i]));
    out.push_back(static_cast<float>(sum / static_cast<double>(length)));
  }
  return out;
}

}  // namespace

Outcome check_codebook(const GoldenCase& golden) {
  if (golden.has("init_centroids")) return check_kmeans(golden);
  const std::string source = golden.text("source");
  const auto from = [&](const char* what) { return source.find(what) != std::string::npos; };
  if (from("quantize_blockwise"))
    return Outcome::skip("bitsandbytes' dynamic map for optimizer states; its blocks run across rows");
  if (!from("quant_type=nf4") && !from("quant_type=fp4")) return Outcome::fail("no rule covers its source: " + source);
  const std::string format = from("quant_type=nf4") ? "nf4" : "fp4:bnb";
  const std::int64_t size = element_count(golden.shape("weight"));  // blocks run over the ends of rows
  const WeightCase weight(golden, choice_of(format + granularity_of(golden)), {1, 1, size});
  // A midpoint may go either way, since the package compares with rounded constants.
  const auto levels = levels_of_format(format);
  const auto ours = level_indices(*levels, weight.codes()), theirs = level_indices(*levels, golden.integers("q"));
  const auto positions = weight.positions();
  std::vector<bool> same(ours.size());
  Comparison is(golden);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    same[i] = ours[i] == theirs.at(i);
    if (same[i]) continue;
    const auto lower = static_cast<std::size_t>(std::min(ours[i], theirs[i]));
    const double middle = (static_cast<double>(levels->values()[lower]) + levels->values()[lower + 1]) / 2;
    is.holds(std::abs(ours[i] - theirs[i]) == 1 && std::abs(positions[i] - middle) < 1e-6,
             "codes differ at midpoints only, element " + std::to_string(i));
  }
  return is.near("scale", weight.scales(), weight.theirs("scale"), 1e-6)
      .near("out", weight.values_where(same), golden.floats("out"), 1e-6)
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_binary_bwn(const GoldenCase& golden) {
  const WeightCase weight(golden, "binary" + granularity_of(golden));
  std::vector<std::int64_t> signs = weight.codes();
  for (auto& sign : signs) sign = 2 * sign - 1;
  return Comparison(golden)
      .codes(signs, golden.integers("q"))
      .near("scale", weight.scales(), weight.theirs("scale"), 1e-6)
      .near("out", weight.ours().values, golden.floats("out"), 1e-6)
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_ternary(const GoldenCase& golden) {
  const bool two = golden.text("method") == "ternary_ttq";
  const WeightCase weight(golden, (two ? "ttq" : "ternary") + granularity_of(golden));
  Comparison is(golden);
  const auto& book = weight.ours().code_book;
  if (two) {
    is.near("code book", std::vector<double>(book.begin(), book.end()), golden.doubles("codebook"), 1e-6);
  } else {
    std::vector<double> scales;
    for (std::size_t i = 2; i < book.size(); i += 3) scales.push_back(book[i]);
    is.near("scale", weight.by_element(scales), weight.theirs("scale"), 1e-6);
  }
  const auto theirs = golden.integers("q");
  std::vector<double> threshold(theirs.size(), golden.number("threshold").value_or(0));
  if (golden.has("threshold")) threshold = weight.theirs("threshold");
  std::vector<bool> same;
  const auto ours = except_near(weight.codes(), theirs, weight.weight(), threshold, same);
  return is.codes(ours, theirs)
      .near("out", weight.values_where(same), golden.floats("out"), 1e-6)
      .errors(weight.weight(), weight.ours().values, golden.floats("out"))
      .outcome();
}

Outcome check_xnor_dot(const GoldenCase& golden) {
  const Shape w = golden.shape("weight"), a = golden.shape("act");
  const SignRows weights = pack_signs(golden.floats("weight"), w[0], w[1]);
  const SignRows acts = pack_signs(golden.floats("act"), a[0], a[1]);
  std::vector<std::int32_t> dots(static_cast<std::size_t>(w[0] * a[0]));
  xnor_products(acts, weights, dots);
  const auto bytes = [](const SignRows& rows) {
    std::vector<std::int64_t> out;
    for (std::int64_t r = 0; r < rows.rows; ++r)
      for (std::int64_t b = 0; b < (rows.length + 7) / 8; ++b)
        out.push_back(static_cast<std::int64_t>(
            rows.words[static_cast<std::size_t>(r * rows.words_per_row + b / 8)] >> (b % 8 * 8) & 0xff));
    return out;
  };
  std::vector<double> y;
  const auto of_act = golden.doubles("alpha_act"), of_weight = golden.doubles("alpha_weight");
  for (std::size_t i = 0; i < dots.size(); ++i)
    y.push_back(of_act[i / of_weight.size()] * of_weight[i % of_weight.size()] * dots[i]);
  return Comparison(golden)
      .near("alpha_weight", row_means(golden.floats("weight"), w[0]), golden.floats("alpha_weight"), 1e-6)
      .near("alpha_act", row_means(golden.floats("act"), a[0]), golden.floats("alpha_act"), 1e-6)
      .codes(bytes(weights), golden.integers("packed_weight"))
      .codes(bytes(acts), golden.integers("packed_act"))
      .codes(std::vector<std::int64_t>(dots.begin(), dots.end()), golden.integers("q_dot"))
      .near("y", y, golden.doubles("y"), 1e-6)
      .outcome();
}

Outcome check_billm_residual(const GoldenCase& golden) {
  const auto weight = golden.floats("weight");
  const Shape shape = golden.shape("weight");
  const Tensor acts = golden.shared_array("act_file").cast(DType::f32);
  const std::int64_t samples = acts.shape()[0], width = acts.shape()[1];
  std::vector<float> inputs;
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::int64_t j = 0; j < shape[1]; ++j)
      inputs.push_back(acts.values<float>()[static_cast<std::size_t>(s * width + j)]);
  const auto diagonal = inverse_hessian_diagonal(inputs, samples, shape[1]);
  const auto ours = binarize_with_residual(weight, shape[0], shape[1], diagonal, golden.integer("salient").value());
  const double largest = *std::max_element(ours.first.begin(), ours.first.end());  // a1 - a2 may cancel
  return Comparison(golden)
      .near("diagonal of H^-1", diagonal, golden.doubles("hinv_diag"), 1e-6)
      .near("saliency", ours.saliency, golden.doubles("saliency"), 1e-6)
      .codes(ours.salient, golden.integers("q_salient_columns"))
      .near("alpha1", ours.first, golden.doubles("alpha1"), 1e-6)
      .near("alpha2", ours.second, golden.doubles("alpha2"), 1e-6)
      .near("alpha_rest", ours.rest, golden.doubles("alpha_rest"), 1e-6)
      .near("out", ours.values, golden.floats("out"), 1e-6, 1e-6 * largest)
      .errors(weight, ours.values, golden.floats("out"))
      .outcome();
}

}  // namespace bitplan::test
