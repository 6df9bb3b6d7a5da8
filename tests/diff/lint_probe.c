/* Where the real malloc puts a block of 200 KiB, first and after it was freed: "heap mapping" and the like. Without stdio, which
   would allocate too. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char* place(const char* low, const char* block) { return block >= low && block < (const char*)sbrk(0) ? "heap" : "mapping"; }

int main(void) {
  char answer[64];
  char* low = malloc(100);
  char* block = malloc(200 * 1024);
  strcpy(answer, place(low, block));
  free(block);
  block = malloc(200 * 1024 - 8192);
  strcat(answer, " ");
  strcat(answer, place(low, block));
  return write(1, answer, strlen(answer)) < 0;
}
