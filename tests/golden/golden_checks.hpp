#pragma once

#include "tests/golden/golden_case.hpp"

namespace bitplan::test {

// The checks of golden_methods.cpp, by the file that defines them.

// golden_uniform.cpp: integers and their ranges
Outcome check_uniform(const GoldenCase& golden);
Outcome check_quanto_absmax(const GoldenCase& golden);
Outcome check_pow2_scale(const GoldenCase& golden);
Outcome check_brevitas_mse(const GoldenCase& golden);
Outcome check_octav(const GoldenCase& golden);

// golden_quanto_max.cpp
Outcome check_quanto_max(const GoldenCase& golden);

// golden_formats.cpp: floating point, shared exponents, logarithms and powers
Outcome check_fp8(const GoldenCase& golden);
Outcome check_mx(const GoldenCase& golden);
Outcome check_nvfp4(const GoldenCase& golden);
Outcome check_shared_microexponent(const GoldenCase& golden);
Outcome check_vsquant(const GoldenCase& golden);
Outcome check_log2(const GoldenCase& golden);
Outcome check_power_exponent(const GoldenCase& golden);

// golden_levels.cpp: code books, signs
Outcome check_codebook(const GoldenCase& golden);
Outcome check_binary_bwn(const GoldenCase& golden);
Outcome check_ternary(const GoldenCase& golden);
Outcome check_xnor_dot(const GoldenCase& golden);
Outcome check_billm_residual(const GoldenCase& golden);

// golden_hqq.cpp: half-quadratic zero points and scales
Outcome check_hqq(const GoldenCase& golden);
Outcome check_quanto_hqq(const GoldenCase& golden);
Outcome check_brevitas_hqo(const GoldenCase& golden);
Outcome check_torchao_hqq(const GoldenCase& golden);

// golden_gptq.cpp, golden_learned.cpp: rounding by Hessians and by gradients
Outcome check_gptq(const GoldenCase& golden);
Outcome check_adaround(const GoldenCase& golden);
Outcome check_signround(const GoldenCase& golden);

// golden_moments.cpp: methods on statistics of activations
Outcome check_bias_correction(const GoldenCase& golden);
Outcome check_smoothquant(const GoldenCase& golden);
Outcome check_awq(const GoldenCase& golden);
Outcome check_cle(const GoldenCase& golden);

// golden_observers.cpp: ranges of activations
Outcome check_observers(const GoldenCase& golden);
Outcome check_quanto_calibration(const GoldenCase& golden);

}  // namespace bitplan::test
