#pragma once

#include "model/operators/arguments.hpp"
#include "model/operators/strided.hpp"

namespace bitplan {

/// out[i] = function(a[i], b[i]) with NumPy broadcasting, From in and To out.
template <class From, class To, class Function>
Tensor map_pairs(const Node& node, const Tensor& a, const Tensor& b, const Function& function) {
  Tensor out(dtype_of<To>(), broadcast(node, a.shape(), b.shape()));
  const From *x = a.values<From>().data(), *y = b.values<From>().data();
  To* to = out.writable<To>().data();
  walk_rows<2>(out.shape(), {broadcast_strides(a.shape(), out.shape()), broadcast_strides(b.shape(), out.shape())},
               [&](const auto& at, const auto& steps, std::int64_t count) {
                 for (std::int64_t i = 0; i < count; ++i)
                   *to++ = function(x[at[0] + i * steps[0]], y[at[1] + i * steps[1]]);
               });
  return out;
}

}  // namespace bitplan
