/* The layout of programs at their first instruction: entry_maps PATH...  prints "== PID PATH", then /proc/PID/maps, for each. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      ptrace(PTRACE_TRACEME, 0, NULL, NULL);
      execl(argv[i], argv[i], (char*)NULL);
      _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) { /* SIGTRAP after a successful execve */
      char path[64], line[4096];
      snprintf(path, sizeof path, "/proc/%d/maps", (int)child);
      FILE* maps = fopen(path, "r");
      printf("== %d %s\n", (int)child, argv[i]);
      while (maps != NULL && fgets(line, sizeof line, maps) != NULL) fputs(line, stdout);
      if (maps != NULL) fclose(maps);
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
    }
  }
  return 0;
}
