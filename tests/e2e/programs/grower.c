/* grower KEPT_MIB BLOCKS: known call sites that keep memory, touch it, and allocate for a moment. */
#include <stdlib.h>
#include <string.h>

static void* volatile keep;

__attribute__((noinline)) static char* keep_much(size_t bytes) {
  return malloc(bytes);
}
__attribute__((noinline)) static char* for_a_moment(void) {
  return malloc(100);
}

int main(int argc, char** argv) {
  const size_t kept = argc > 1 ? (size_t)atol(argv[1]) << 20 : 0;
  const long blocks = argc > 2 ? atol(argv[2]) : 0;
  char* much = keep_much(kept + 1);
  memset(much, 1, kept + 1);
  keep = much;
  for (long i = 0; i < blocks; ++i) free(for_a_moment());
  return 0;
}
