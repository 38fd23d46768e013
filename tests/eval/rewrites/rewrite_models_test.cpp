#include "model/import_onnx.hpp"
#include "tests/catch.hpp"
#include "tests/eval/rewrite_networks.hpp"

using namespace bitplan;
using namespace bitplan::test;

namespace {

struct Case {
  std::string model, data, rewrites;
  std::vector<std::size_t> folds;  ///< by rewrite
};

}  // namespace

TEST_CASE("real networks are folded where their structure allows and keep their outputs") {
  const auto root = shared_data();
  if (root.empty()) {
    WARN("the shared data are not there: nothing tested");
    return;
  }
  const std::vector<Case> cases{
      // 52 convolutions in 16 chains
      {"cifar10/mobilenetv2.onnx",
       "{kind: cifar10, file: cifar10/calibration_4000.bin, samples: 2}",
       "[equalize]",
       {36}},
      // 12 blocks of two norms; behind GELU by a Mul, twice the attention's reshape and the class token too
      {"imagenet/vit_tiny.onnx",
       "{kind: images, root: imagenet/calibration, samples: 2, crop: 224}",
       "[smoothquant, {smoothquant: {insert: true}}]",
       {24, 49}},
      // 6 blocks of two norms and a product, the last norm before a head of its own
      {"lm/llama.onnx", "{kind: tokens, file: lm/tokens_calib.npy, samples: 2}", "[awq, smoothquant]", {19, 19}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.model);
    if (!std::filesystem::exists(root / c.model)) continue;
    const auto net = std::make_shared<const Network>(import_onnx(root / c.model, {.shapes = {}, .batch = 2}));
    const auto result = rewrite_network(net, specs_of(c.rewrites), spec_of(c.data, root), 1);
    REQUIRE(result.records.size() == c.folds.size());
    for (std::size_t r = 0; r < c.folds.size(); ++r) CHECK(result.records[r].folds.size() == c.folds[r]);
    CHECK(result.network->layers.size() == net->layers.size());
    CHECK(result.network->sites.size() == net->sites.size());
  }
}
