#include "apps/float_file.hpp"

#include "core/error.hpp"
#include "core/npy.hpp"

namespace bitplan {

Tensor read_floats(const std::filesystem::path& file) {
  const Tensor tensor = read_npy(file);
  const auto type = tensor.dtype();
  if (type != DType::f32 && type != DType::f64 && type != DType::f16 && type != DType::bf16)
    throw InputError(file.string() + " holds " + std::string(name_of(type)) + "; floating-point values are needed");
  if (tensor.size() == 0) throw InputError(file.string() + " of shape " + to_string(tensor.shape()) + " is empty");
  return tensor.cast(DType::f32);
}

}  // namespace bitplan
