#include "tests/eval/executor_allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<std::size_t> largest{0};
}

namespace bitplan::test {
void watch_allocations() { largest = 0; }
std::size_t largest_allocation() { return largest; }
}  // namespace bitplan::test

// Seen by the whole test program and the libraries it loads. The address sanitizer has operators of its own, which must
// not be mixed with these: under it nothing is counted.
#ifndef __SANITIZE_ADDRESS__
void* operator new(std::size_t size) {
  if (size > largest) largest = size;
  if (void* p = std::malloc(size > 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif
