#include "apps/exit_status.hpp"

#include <iostream>
#include <new>

#include "core/error.hpp"

namespace bitplan {
namespace {


/// Calls take(status, message) with what the error is.
template <class Take>
int with_error(const std::exception_ptr& error, const Take& take) {
  try {
    std::rethrow_exception(error);
  } catch (const UsageError& e) {
    return take(2, e.what());
  } catch (const InputError& e) {
    return take(3, e.what());
  } catch (const InfeasibleError& e) {
    return take(4, e.what());
  } catch (const Interrupted& e) {
    return take(75, e.what());
  } catch (const std::bad_alloc&) {
    return take(1, "out of memory");
  } catch (const std::exception& e) {
    return take(1, e.what());
  }
}

}  // namespace

int exit_status(const std::exception_ptr& error) {
  return with_error(error, [](int status, const char*) { return status; });
}

int report_error(const std::exception_ptr& error) {
  return with_error(error, [](int status, const char* text) {
    std::cerr << "bitplan: " << text << '\n';
    return status;
  });
}

}  // namespace bitplan
