#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace faultline {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "faultline: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace faultline
