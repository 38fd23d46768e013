#include <cmath>

#include "model/operators/declarations.hpp"
#include "model/operators/elementwise.hpp"

// Circular and hyperbolic functions beside Sin, Cos and Tanh.
namespace bitplan {

std::vector<Tensor> evaluate_tan(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::tan(x); });
}
std::vector<Tensor> evaluate_asin(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::asin(x); });
}
std::vector<Tensor> evaluate_acos(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::acos(x); });
}
std::vector<Tensor> evaluate_atan(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::atan(x); });
}
std::vector<Tensor> evaluate_sinh(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::sinh(x); });
}
std::vector<Tensor> evaluate_cosh(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::cosh(x); });
}
std::vector<Tensor> evaluate_asinh(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::asinh(x); });
}
std::vector<Tensor> evaluate_acosh(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::acosh(x); });
}
std::vector<Tensor> evaluate_atanh(const Node&, TensorsIn inputs) {
  return map_floats(inputs, []<class T>(T x) { return std::atanh(x); });
}

}  // namespace bitplan
