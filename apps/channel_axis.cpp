#include "apps/channel_axis.hpp"

#include <algorithm>

namespace bitplan {
namespace {

int dimensions(const Shape& shape) { return std::max(1, static_cast<int>(shape.size())); }

}  // namespace

std::optional<int> channel_axis(int axis, const Shape& shape) {
  const int rank = dimensions(shape);
  if (axis < -rank || axis >= rank) return {};
  return axis < 0 ? axis + rank : axis;
}

std::string no_such_axis(int axis, const std::filesystem::path& file, const Shape& shape) {
  const int rank = dimensions(shape);
  const std::string has = shape.empty() ? "is a scalar"
                                        : "has " + std::to_string(rank) +
                                              (rank == 1 ? " dimension (" : " dimensions (") + to_string(shape) + ")";
  return "--axis " + std::to_string(axis) + ": " + file.string() + " " + has + "; allowed: " + std::to_string(-rank) +
         " to " + std::to_string(rank - 1);
}

}  // namespace bitplan
