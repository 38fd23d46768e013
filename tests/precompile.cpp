// The source for which the header is precompiled; test programs reuse it.
#include "tests/catch.hpp"
