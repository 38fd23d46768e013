#pragma once

#include "model/operators/arguments.hpp"
#include "model/operators/dispatch.hpp"

// Operators that map each element on its own.
namespace bitplan {

/// out[i] = function(in[i]), From in and To out.
template <class From, class To, class Function>
Tensor map_elements(const Tensor& in, const Function& function) {
  Tensor out(dtype_of<To>(), in.shape());
  const auto from = in.values<From>();
  const auto to = out.writable<To>();
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = function(from[i]);
  return out;
}

/// Floats: computed in the type's own precision.
template <class Function>
std::vector<Tensor> map_floats(TensorsIn inputs, const Function& function) {
  const Tensor& in = *inputs[0];
  return {in.dtype() == DType::f64 ? map_elements<double, double>(in, function)
                                   : map_elements<float, float>(in, function)};
}

/// Any number type.
template <class Function>
std::vector<Tensor> map_numbers(TensorsIn inputs, const Function& function) {
  return {visit_number(inputs[0]->dtype(), [&]<class T>(T) { return map_elements<T, T>(*inputs[0], function); })};
}

}  // namespace bitplan
