// Programs that become or start other programs: the shim's variables go into the new environment. Everything here also runs
// in vfork children, whose memory is the parent's: only the stack is written (large environments: a mapping, given back).
#include <alloca.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/shim/environment.h"
#include "record/shim/exit_record.h"
#include "record/shim/process.h"
#include "record/shim/real_functions.h"

using namespace faultline::shim;

#define FL_EXPORT extern "C" __attribute__((visibility("default"), noinline))

namespace {

constexpr std::size_t kMaxOnStack = 8 * 1024;
constexpr std::uint64_t kBelowAside = 64 << 20;

void* map_temporary(std::size_t bytes) {
  const long at = raw_map(kAside - kBelowAside, bytes, MAP_PRIVATE | MAP_ANONYMOUS);
  return failed(at) ? nullptr : reinterpret_cast<void*>(at);
}

// Calls call(environment) with our variables added to envp.
template <typename Call>
int with_child_environment(char* const* envp, Call call) {
  ensure_real_functions();
  const std::size_t bytes = child_environment_bytes(envp);
  if (bytes == 0) return call(envp);
  const bool on_stack = bytes <= kMaxOnStack;
  void* memory = on_stack ? alloca(bytes) : map_temporary(bytes);
  if (memory == nullptr) return call(envp);
  const int result = call(build_child_environment(envp, memory));
  if (!on_stack) raw_syscall(SYS_munmap, address_of(memory), static_cast<long>(bytes));
  return result;
}

int exec_with(const char* path, char* const* argv, char* const* envp) {
  report_exit();
  return with_child_environment(envp, [&](char* const* env) { return real.execve(path, argv, env); });
}

int exec_path_with(const char* file, char* const* argv, char* const* envp) {
  report_exit();
  return with_child_environment(envp, [&](char* const* env) { return real.execvpe(file, argv, env); });
}

unsigned count_arguments(va_list arguments) {
  unsigned count = 1;
  while (va_arg(arguments, char*) != nullptr) ++count;
  return count;
}

void collect(char** argv, const char* first, unsigned count, va_list arguments) {
  argv[0] = const_cast<char*>(first);
  for (unsigned i = 1; i <= count; ++i) argv[i] = va_arg(arguments, char*);
}

}  // namespace

FL_EXPORT int execve(const char* path, char* const argv[], char* const envp[]) noexcept { return exec_with(path, argv, envp); }
FL_EXPORT int execv(const char* path, char* const argv[]) noexcept { return exec_with(path, argv, environ); }
FL_EXPORT int execvp(const char* file, char* const argv[]) noexcept { return exec_path_with(file, argv, environ); }
FL_EXPORT int execvpe(const char* file, char* const argv[], char* const envp[]) noexcept { return exec_path_with(file, argv, envp); }

FL_EXPORT int fexecve(int fd, char* const argv[], char* const envp[]) noexcept {
  report_exit();
  return with_child_environment(envp, [&](char* const* env) { return real.fexecve(fd, argv, env); });
}

FL_EXPORT int execveat(int fd, const char* path, char* const argv[], char* const envp[], int flags) noexcept {
  report_exit();
  ensure_real_functions();
  if (real.execveat == nullptr) {
    return static_cast<int>(syscall(SYS_execveat, fd, path, argv, envp, flags));
  }
  return with_child_environment(envp, [&](char* const* env) { return real.execveat(fd, path, argv, env, flags); });
}

#define FL_COLLECT_ARGUMENTS(argv, first)                                            \
  va_list counting, reading;                                                         \
  va_start(counting, first);                                                         \
  va_copy(reading, counting);                                                        \
  __asm__("" : "+r"(first)); /* declared nonnull, yet execl(path, NULL) is legal */  \
  const unsigned count = (first) == nullptr ? 0 : count_arguments(counting);         \
  char** argv = static_cast<char**>(alloca((std::size_t{count} + 1) * sizeof(char*))); \
  argv[0] = nullptr;                                                                 \
  if (count > 0) collect(argv, first, count, reading);                               \
  va_end(counting)

FL_EXPORT int execl(const char* path, const char* first, ...) noexcept {
  FL_COLLECT_ARGUMENTS(argv, first);
  va_end(reading);
  return exec_with(path, argv, environ);
}

FL_EXPORT int execlp(const char* file, const char* first, ...) noexcept {
  FL_COLLECT_ARGUMENTS(argv, first);
  va_end(reading);
  return exec_path_with(file, argv, environ);
}

FL_EXPORT int execle(const char* path, const char* first, ...) noexcept {
  FL_COLLECT_ARGUMENTS(argv, first);
  char* const* envp = va_arg(reading, char* const*);
  va_end(reading);
  return exec_with(path, argv, envp);
}

FL_EXPORT int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* attributes,
                          char* const argv[], char* const envp[]) {
  return with_child_environment(envp, [&](char* const* env) { return real.posix_spawn(pid, path, actions, attributes, argv, env); });
}

FL_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions, const posix_spawnattr_t* attributes,
                           char* const argv[], char* const envp[]) {
  return with_child_environment(envp, [&](char* const* env) { return real.posix_spawnp(pid, file, actions, attributes, argv, env); });
}

FL_EXPORT int system(const char* command) {
  ensure_real_functions();
  lend_variables_to_environ();
  const int status = real.system(command);
  take_back_variables_from_environ();
  return status;
}

FL_EXPORT FILE* popen(const char* command, const char* mode) {
  ensure_real_functions();
  lend_variables_to_environ();
  FILE* stream = real.popen(command, mode);
  take_back_variables_from_environ();
  return stream;
}
