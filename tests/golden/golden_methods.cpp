#include "tests/golden/golden_methods.hpp"

#include "tests/golden/golden_checks.hpp"

namespace bitplan::test {
namespace {

constexpr GoldenMethod kMethods[] = {
    {"uniform", check_uniform},
    {"quanto_absmax", check_quanto_absmax},
    {"quanto_max", check_quanto_max},
    {"pow2_scale", check_pow2_scale},
    {"brevitas_mse", check_brevitas_mse},
    {"octav", check_octav},
    {"fp8", check_fp8},
    {"mx", check_mx},
    {"nvfp4", check_nvfp4},
    {"shared_microexponent", check_shared_microexponent},
    {"vsquant", check_vsquant},
    {"log2", check_log2},
    {"power_exponent", check_power_exponent},
    {"codebook", check_codebook},
    {"binary_bwn", check_binary_bwn},
    {"ternary_twn", check_ternary},
    {"ternary_ttq", check_ternary},
    {"xnor_dot", check_xnor_dot},
    {"billm_residual", check_billm_residual},
    {"hqq", check_hqq},
    {"quanto_hqq", check_quanto_hqq},
    {"brevitas_hqo", check_brevitas_hqo},
    {"torchao_hqq_scale_only", check_torchao_hqq},
    {"gptq", check_gptq},
    {"adaround", check_adaround},
    {"signround", check_signround},
    {"bias_correction", check_bias_correction},
    {"smoothquant", check_smoothquant},
    {"awq", check_awq},
    {"cle", check_cle},
    {"observers", check_observers},
    {"quanto_calibration", check_quanto_calibration},
};

// A row moves from here to the table above when its method is built.
constexpr std::string_view kLater[] = {
    "score_hessian_trace", "score_modelopt_gradient", "score_tensor_metrics",
};

}  // namespace

std::span<const GoldenMethod> golden_methods() { return kMethods; }
std::span<const std::string_view> later_folders() { return kLater; }

}  // namespace bitplan::test
