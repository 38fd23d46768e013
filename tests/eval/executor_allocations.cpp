#include "tests/eval/executor_allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> largest{0};
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
namespace bitplan::test {
bool watch_allocations() { return false; }
std::size_t largest_allocation() { return largest; }
}  // namespace bitplan::test
#else
namespace bitplan::test {
bool watch_allocations() {
  largest = 0;
  return true;
}
std::size_t largest_allocation() { return largest; }
}  // namespace bitplan::test

// Seen by the whole test program and the libraries it loads.
void* operator new(std::size_t size) {
  if (size > largest) largest = size;
  if (void* p = std::malloc(size > 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif
