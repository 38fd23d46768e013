#pragma once

namespace bitplan {

/// SIGUSR1, SIGTERM and SIGINT set a flag from now on instead of ending the process; a second SIGINT ends it at once.
/// On every rank: only rank 0 looks at the flag, the others wait for its word (mpirun forwards signals to all).
void catch_stop_signals();

/// The signal that came, by name ("SIGUSR1"); null when none has.
const char* stop_signal();

}  // namespace bitplan
