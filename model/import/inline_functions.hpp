#pragma once

#include <vector>

namespace onnx {
class ModelProto;
}

namespace bitplan {

/// Replaces every node that calls one of the model's functions by the function's nodes, until none is left: formal
/// inputs and outputs take the call's tensors, all other names get the call's name before them ("block1/mm"), an
/// attribute that refers to the function's parameter takes the call's value or the function's default, or goes.
/// Returns the version of the ONNX domain that each node of the graph obeys afterwards: the function's own import for
/// its nodes, else the model's. Throws InputError on functions that call themselves, on calls with more inputs or
/// outputs than the function has, on more than 100 nested calls, and when more than 2^16 nodes or 2^30 bytes would come
/// out.
std::vector<int> inline_functions(onnx::ModelProto& model);

}  // namespace bitplan
