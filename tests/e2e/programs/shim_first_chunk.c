/* Where the very first blocks land: the main heap's offset from the break, and a thread heap's offset. C only: nothing of
   libstdc++ allocates before main. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void* first_in_thread(void* unused) {
  (void)unused;
  return malloc(10);
}

int main(void) {
  char line[256];
  void* first = malloc(10);
  void* second = calloc(3, 100);
  void* large = malloc(300000);
  int n = snprintf(line, sizeof line, "first %p second %p large %lx break %p\n", first, second, (unsigned long)((uintptr_t)large & 4095), sbrk(0));
  if (write(1, line, (size_t)n) < 0) return 1;
  for (int i = 0; i < 3; ++i) {
    pthread_t thread;
    void* block;
    if (pthread_create(&thread, NULL, first_in_thread, NULL) != 0) return 1;
    pthread_join(thread, &block);
    n = snprintf(line, sizeof line, "thread %lx\n", (unsigned long)((uintptr_t)block & (64 * 1024 * 1024 - 1)));
    if (write(1, line, (size_t)n) < 0) return 1;
  }
  n = snprintf(line, sizeof line, "then %p\n", malloc(10));
  return write(1, line, (size_t)n) < 0;
}
