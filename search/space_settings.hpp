#pragma once

#include "search/space.hpp"

namespace bitplan {

/// Refuses settings of space.weights and space.activations that no choice takes, of their list or of rules: `range`,
/// `percentile`, `symmetric`, `narrow`, `rounding`, `refit` and `compensation` are for the choices that do not say the
/// same themselves and whose format can follow. A choice takes a setting when it would be another, or none, under
/// another value of it, or has the value by itself. Values that ask for nothing (rounding nearest, refit and narrow false, compensation none) and
/// lists with float alone pass. Throws InputError at the setting's place, with the formats that would take it.
void check_settings(const SpaceSpec& spec);

}  // namespace bitplan
