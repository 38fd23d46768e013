#include <cmath>

#include "core/npy.hpp"
#include "quant/billm.hpp"
#include "quant/kmeans.hpp"
#include "quant/levels.hpp"
#include "quant/xnor.hpp"
#include "tests/golden/golden_checks.hpp"
#include "tests/golden/golden_weights.hpp"

namespace bitplan::test {
namespace {

Outcome check_kmeans(const GoldenCase& golden) {
  const auto weight = golden.floats("weight");
  const KMeans linear = k_means(weight, {}, 1 << golden.integer("bits").value(), KMeansStart::linear);
  const KMeans given = k_means_from(weight, {}, golden.doubles("init_centroids"));
  const KMeans better = k_means(weight, {}, 1 << golden.integer("bits").value(), KMeansStart::better);
  Comparison is(golden);
  is.near("inertia of the linear start", linear.inertia, given.inertia, 1e-5);
  return is.at_most("inertia", std::min(given.inertia, better.inertia), golden.number("inertia").value(), 1 + 1e-5)
      .outcome();
}

}  // namespace

Outcome check_codebook(const GoldenCase& golden) {
  const std::string name = golden.text("case");
  if (golden.has("init_centroids")) return check_kmeans(golden);
  if (name.starts_with("bnb_fp4"))
    return Outcome::skip("bitsandbytes' own FP4 with two zeros; fp4 here is E2M1 of OCP");
  if (name.starts_with("bnb_dynamic8"))
    return Outcome::skip("bitsandbytes' dynamic map for optimizer states; its blocks run across rows");
  if (!name.starts_with("bnb_nf4")) return Outcome::fail("no rule covers this code book");
  const WeightCase weight(golden, "nf4" + granularity_of(golden));
  // A midpoint may go either way, since the package compares with rounded constants.
  const auto ours = weight.codes(), theirs = golden.integers("q");
  const auto levels = levels_of_format("nf4");
  std::vector<bool> same(ours.size());
  Comparison is(golden);
  for (std::size_t i = 0; i < ours.size(); ++i) {
    same[i] = ours[i] == theirs[i];
    if (same[i]) continue;
    const auto lower = static_cast<std::size_t>(std::min(ours[i], theirs[i]));
    const double middle = (static_cast<double>(levels->values()[lower]) + levels->values()[lower + 1]) / 2;
    is.holds(std::abs(ours[i] - theirs[i]) == 1 && std::abs(weight.positions()[i] - middle) < 1e-6,
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
  return is.codes(weight.codes(), golden.integers("q"))
      .near("out", weight.ours().values, golden.floats("out"), 1e-6)
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
  return Comparison(golden)
      .near("diagonal of H^-1", diagonal, golden.doubles("hinv_diag"), 1e-5)
      .near("saliency", ours.saliency, golden.doubles("saliency"), 1e-4)
      .codes(ours.salient, golden.integers("q_salient_columns"))
      .near("alpha1", ours.first, golden.doubles("alpha1"), 1e-6)
      .near("alpha2", ours.second, golden.doubles("alpha2"), 1e-6)
      .near("alpha_rest", ours.rest, golden.doubles("alpha_rest"), 1e-6)
      .near("out", ours.values, golden.floats("out"), 1e-6)
      .errors(weight, ours.values, golden.floats("out"))
      .outcome();
}

}  // namespace bitplan::test
