#pragma once

#include "eval/data/dataset.hpp"

namespace bitplan {

/// The rows of the table of data kinds; each stands in eval/data/data_<kind>.cpp.
DataKind cifar10_kind();
DataKind npy_kind();
DataKind images_kind();
DataKind tokens_kind();

}  // namespace bitplan
