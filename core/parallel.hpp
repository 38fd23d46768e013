#pragma once

#include <cstddef>
#include <functional>

namespace bitplan {

/// Calls body(0, worker) … body(n - 1, worker) on `threads` threads, in no stated order; worker is in
/// 0 … threads - 1 and no two calls with the same worker overlap, so body may own one workspace a worker.
/// threads <= 0 means all that OMP_NUM_THREADS or the machine offers. Inside body every library that uses
/// OpenMP sees one thread. Of the exceptions, if any, the one of the lowest index comes out here, whatever the number of
/// threads; calls of higher indices may be left out then.
/// The only `#pragma omp` of the project is behind this function.
void parallel_for(std::size_t n, int threads, const std::function<void(std::size_t index, int worker)>& body);

/// What threads <= 0 resolves to.
int default_threads();

}  // namespace bitplan
