#include "core/parallel.hpp"

#include <omp.h>

#include <algorithm>
#include <exception>

namespace bitplan {

int default_threads() { return std::max(1, omp_get_max_threads()); }

void parallel_for(std::size_t n, int threads, const std::function<void(std::size_t, int)>& body) {
  if (threads <= 0) threads = default_threads();
  threads = static_cast<int>(std::min<std::size_t>(static_cast<std::size_t>(threads), std::max<std::size_t>(n, 1)));
  const auto end = static_cast<std::ptrdiff_t>(n);
  std::exception_ptr error;
  std::ptrdiff_t failed = end;  // lowest index that threw: calls below it still run, so that the same error comes out
#pragma omp parallel num_threads(threads)
  {
    const int outer = omp_get_max_threads();
    omp_set_num_threads(1);  // libraries inside body: one thread, whatever they ask OpenMP for
    const int worker = omp_get_thread_num();
#pragma omp for schedule(dynamic)
    for (std::ptrdiff_t i = 0; i < end; ++i) {
      std::ptrdiff_t first = 0;
#pragma omp atomic read
      first = failed;
      if (i > first) continue;
      try {
        body(static_cast<std::size_t>(i), worker);
      } catch (...) {
#pragma omp critical(bitplan_parallel_for)
        if (i < failed) {
          error = std::current_exception();
#pragma omp atomic write
          failed = i;
        }
      }
    }
    omp_set_num_threads(outer);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace bitplan
