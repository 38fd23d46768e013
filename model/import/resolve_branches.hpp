#pragma once

#include <filesystem>

#include "model/import/parse_model.hpp"
#include "model/import_onnx.hpp"

namespace bitplan {

/// If nodes whose condition follows from shapes and constants: the nodes of the branch taken stand in their place.
/// (TorchScript writes them where a rank or a size was not known to it.) Each condition is found by importing what it
/// is computed from. An If whose condition depends on the data stays, with all that come after it, and is refused later
/// like other control flow. O(ifs × nodes before them).
void resolve_branches(ParsedModel& parsed, const std::filesystem::path& file, const ImportOptions& options);

}  // namespace bitplan
