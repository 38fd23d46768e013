#pragma once

#include <stdexcept>
#include <string>

namespace bitplan {

/// The user's input is wrong: a file, a value, a shape. Exit status 3.
/// what() is one message: place, value found, what is allowed.
struct InputError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The command line is wrong. Exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// No assignment can hold the constraints; what() names the nearest reachable values. Exit status 4.
struct InfeasibleError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A signal asked to stop; all that was measured is stored and --resume goes on. Exit status 75.
struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bitplan
