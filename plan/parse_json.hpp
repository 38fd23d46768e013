#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bitplan {

/// JSON (RFC 8259) of a file that people may have edited. Throws InputError "plan.json:12: is not valid JSON: 'NaN'
/// stands there; JSON has neither NaN nor Infinity".
nlohmann::json parse_json(const std::string& file, const std::string& text);

}  // namespace bitplan
