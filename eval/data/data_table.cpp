#include <array>

#include "eval/data/dataset_kinds.hpp"

namespace bitplan {

/// Every kind of data. A new one is a new file and a new row here.
std::span<const DataKind> data_kinds() {
  static const std::array kinds{cifar10_kind(), npy_kind(), images_kind(), tokens_kind()};
  return kinds;
}

}  // namespace bitplan
