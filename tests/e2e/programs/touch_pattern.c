/* Touches a mapping of its own in a known order and says where it is: argv[1] pages, argv[2] rounds. Then a file, by read and by
   mapping, if argv[3] names one. "close" instead of all that closes every descriptor and becomes true(1). What reference streams are judged by. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
  if (words[1][0] == 'c') {  /* "close": everything, as daemons do, then another program */
    for (int i = 3; i < 30000; ++i) close(i);
    return execl("/bin/true", "true", (char *)0);
  }
  const size_t pages = strtoul(words[1], 0, 10), rounds = strtoul(words[2], 0, 10);
  volatile char *memory = mmap(0, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < rounds * pages; ++i) memory[(i * 7 % pages) * 4096 + i % 4096] = (char)i;
  munmap((void *)memory, pages * 4096);
  if (count > 3) {
    const int file = open(words[3], O_RDONLY);
    static char buffer[3 * 4096];
    volatile char sum = 0;
    for (ssize_t got = 0; (got = read(file, buffer, sizeof buffer)) > 0;) sum += buffer[0];
    const off_t size = lseek(file, 0, SEEK_END);
    const volatile char *mapped = mmap(0, (size_t)size, PROT_READ, MAP_SHARED, file, 0);
    for (off_t at = 0; at < size; at += 4096) sum += mapped[at];
    const pid_t child = fork();
    if (child == 0) {
      for (off_t at = 0; at < size; at += 8192) sum += mapped[at];
      _exit(5);
    }
    int status = 0;
    waitpid(child, &status, 0);
  }
  printf("%lx\n", (unsigned long)memory >> 12);
  return 3;
}
