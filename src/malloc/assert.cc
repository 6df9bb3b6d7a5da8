// A broken invariant: corrupted memory, a double free. Says so and aborts, as glibc does; nothing here allocates.
#include "base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace faultline {

void assertion_failed(const char* condition, const char* file, int line) {
  char digits[12];
  char* number = digits + sizeof digits - 1;
  *number = '\0';
  for (int rest = line; number > digits; rest /= 10) {
    *--number = static_cast<char>('0' + rest % 10);
    if (rest < 10) break;
  }
  const char* const parts[] = {"libfaultline-malloc: corrupted heap or double free: ", condition, " does not hold (", file, ":", number, ")\n"};
  for (const char* part : parts) (void)!write(STDERR_FILENO, part, strlen(part));
  abort();
}

}  // namespace faultline
