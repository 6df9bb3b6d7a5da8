/* Allocates, touches and frees: record_loop COUNT [THREADS] [END]. END: how it ends: exit (default), abort, quick, kill, sleep. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long count;

static void *work(void *unused) {
  void *live[64] = {0};
  for (long i = 0; i < count; ++i) {
    void **slot = &live[i % 64];
    free(*slot);
    *slot = malloc((size_t)(16 + i * 37 % 2000));
    memset(*slot, 1, 16);
  }
  for (int i = 0; i < 64; ++i) free(live[i]);
  return unused;
}

int main(int argc, char **argv) {
  const char *end = argc > 3 ? argv[3] : "exit";
  pthread_t threads[64];
  int n = argc > 2 ? atoi(argv[2]) : 1;
  count = argc > 1 ? atol(argv[1]) : 1000;
  for (int i = 1; i < n; ++i) pthread_create(&threads[i], NULL, work, NULL);
  work(NULL);
  for (int i = 1; i < n; ++i) pthread_join(threads[i], NULL);
  printf("done\n");
  fflush(stdout);
  if (strcmp(end, "abort") == 0) abort();
  if (strcmp(end, "quick") == 0) _exit(7);
  if (strcmp(end, "kill") == 0) kill(getpid(), SIGKILL);
  if (strcmp(end, "sleep") == 0) sleep(60);
  return 3;
}
