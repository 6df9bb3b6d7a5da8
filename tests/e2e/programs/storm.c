// storm K SIZE N: N times: K blocks of SIZE bytes malloc'ed and written, then freed last first.
// Prints the minor faults of the loop to standard error (getrusage(2)).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static long minor_faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  enum { kMost = 64 };
  void* volatile blocks[kMost];
  const int count = atoi(argv[1]);
  const size_t size = strtoul(argv[2], NULL, 10);
  const int rounds = atoi(argv[3]);
  if (count < 1 || count > kMost) return 2;
  const long before = minor_faults();
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < count; ++i) {
      blocks[i] = malloc(size);
      if (blocks[i] == NULL) return 3;
      memset(blocks[i], round, size);
    }
    for (int i = count - 1; i >= 0; --i) free(blocks[i]);
  }
  const long after = minor_faults();
  fprintf(stderr, "%ld\n", after - before);
  return 0;
}
