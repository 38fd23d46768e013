#pragma once

#include <exception>

namespace bitplan {

/// 0 done, 1 failure, 2 usage, 3 invalid input, 4 infeasible, 75 interrupted and resumable (DESIGN §4).
int exit_status(const std::exception_ptr& error);
/// Prints "bitplan: message" on stderr and returns the exit status.
int report_error(const std::exception_ptr& error);

}  // namespace bitplan
