#pragma once
// Small valid models, one or two for each hand-computed case of each operator, and ways to damage them.

#include <string>
#include <vector>

#include "core/rng.hpp"
#include "tests/model/build_onnx.hpp"

namespace bitplan::test {

/// Serialized models: every case of every operator with all inputs constant (import computes it) and with its first
/// input fed (the network does), a chain of layers with external data, and a model with functions.
std::vector<std::string> sound_models();

/// Bytes of a damaged copy: cut, bytes changed, or a field of the message set to something wild.
std::string damaged(const std::string& model, Rng& rng);

}  // namespace bitplan::test
