#include "apps/float_file.hpp"

#include <cmath>

#include "apps/table.hpp"
#include "core/error.hpp"
#include "core/npy.hpp"

namespace bitplan {
namespace {

/// Finite numbers of float64 that float32 has not; infinite ones are named by whoever reads the values.
void check_narrowed(const Tensor& wide, const Tensor& narrow, const std::string& file) {
  const auto from = wide.values<double>();
  const auto to = narrow.values<float>();
  for (std::size_t i = 0; i < from.size(); ++i)
    if (std::isinf(to[i]) && std::isfinite(from[i]))
      throw InputError(file + ": value " + std::to_string(i) + " of " + std::to_string(from.size()) + " is " +
                       significant(from[i]) + ", beyond float32; magnitudes up to 3.4e+38 are allowed");
}

}  // namespace

Tensor read_floats(const std::filesystem::path& file) {
  const Tensor tensor = read_npy(file);
  const auto type = tensor.dtype();
  if (type != DType::f32 && type != DType::f64 && type != DType::f16 && type != DType::bf16)
    throw InputError(file.string() + " holds " + std::string(name_of(type)) +
                     "; floating-point values are needed (float16, float32 or float64)");
  if (tensor.size() == 0) throw InputError(file.string() + " of shape " + to_string(tensor.shape()) + " is empty");
  Tensor floats = tensor.cast(DType::f32);
  if (type == DType::f64) check_narrowed(tensor, floats, file.string());
  return floats;
}

}  // namespace bitplan
