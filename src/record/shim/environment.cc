#include "record/shim/environment.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/text.h"

extern "C" void* __libc_stack_end;

namespace faultline::shim {

namespace {

constexpr char kPrefix[] = "FAULTLINE_";
constexpr char kPreload[] = "LD_PRELOAD=";
constexpr char kShimName[] = "libfaultline-shim";
constexpr unsigned kMaxVariables = 8;

char storage[6 * 1024];  // copies: programs overwrite their argument area to set a process title
std::size_t storage_used = 0;
char* variables[kMaxVariables];  // "FAULTLINE_X=..."
unsigned variable_count = 0;
const char* socket_value = nullptr;
const char* shim_path = nullptr;

std::atomic<int> lend_lock{0};
int lend_count = 0;
char** lent = nullptr;
std::size_t lent_bytes = 0;
char** before_lending = nullptr;

char* keep(const char* s, std::size_t n) {
  if (storage_used + n + 1 > sizeof storage) return nullptr;
  char* copy = storage + storage_used;
  __builtin_memcpy(copy, s, n);
  copy[n] = 0;
  storage_used += n + 1;
  return copy;
}

// Before libc has set environ (ld.so may allocate earlier) the array lies where the kernel put it: argc, argv, NULL, envp.
char** environment_array() {
  if (environ != nullptr) return environ;
  if (__libc_stack_end == nullptr) return nullptr;
  auto* words = static_cast<char**>(__libc_stack_end);
  return words + 2 + reinterpret_cast<std::intptr_t>(words[0]);
}

bool separator(char c) { return c == ':' || c == ' '; }

// Cuts the shim's entry out of "LD_PRELOAD=..." in place. True if nothing else was in it.
bool cut_shim_entry(char* variable) {
  char* at = variable + sizeof kPreload - 1;
  while (*at != 0) {
    char* end = at;
    while (*end != 0 && !separator(*end)) ++end;
    const char saved = *end;
    *end = 0;
    const bool ours = contains(at, kShimName);
    if (ours && shim_path == nullptr) shim_path = keep(at, static_cast<std::size_t>(end - at));
    *end = saved;
    if (!ours) {
      at = separator(*end) ? end + 1 : end;
      continue;
    }
    const char* rest = separator(*end) ? end + 1 : end;
    if (*rest == 0 && at > variable + sizeof kPreload - 1) --at;  // the separator before a last entry
    std::size_t i = 0;
    do at[i] = rest[i];
    while (rest[i++] != 0);
  }
  return variable[sizeof kPreload - 1] == 0;
}

void strip(char** array) {
  char** out = array;
  bool changed = false;
  for (char** in = array; *in != nullptr; ++in) {
    const bool remove = starts_with(*in, kPrefix) ||
                        (starts_with(*in, kPreload) && contains(*in, kShimName) && cut_shim_entry(*in));
    changed |= remove;
    if (!remove) *out++ = *in;
  }
  if (!changed) return;
  // Programs that look for the auxiliary vector behind the environment find pairs of AT_IGNORE, if the gap is even.
  char** end = out;
  while (*end != nullptr) ++end;
  const std::int64_t gap = end - out;
  out[0] = nullptr;
  for (std::int64_t i = 1; i <= gap; ++i) out[i] = gap % 2 == 0 && i % 2 == 1 ? reinterpret_cast<char*>(std::uintptr_t{1}) : nullptr;
}

bool replaced_in_child(const char* variable) { return starts_with(variable, kPrefix) || starts_with(variable, kPreload); }

void lock_lending() {
  int expected = 0;
  while (!lend_lock.compare_exchange_weak(expected, 1, std::memory_order_acquire)) {
    expected = 0;
    raw_syscall(SYS_sched_yield);
  }
}

}  // namespace

const char* variable_in_environment(const char* name) {
  char** array = environment_array();
  const std::size_t length = length_of(name);
  for (; array != nullptr && *array != nullptr; ++array) {
    if (starts_with(*array, name) && (*array)[length] == '=') return *array + length + 1;
  }
  return nullptr;
}

void take_own_variables() {
  char** array = environment_array();
  if (array == nullptr) return;
  for (char** v = array; *v != nullptr; ++v) {
    if (!starts_with(*v, kPrefix) || variable_count == kMaxVariables) continue;
    char* copy = keep(*v, length_of(*v));
    if (copy == nullptr) continue;
    variables[variable_count++] = copy;
    const std::size_t length = length_of(wire::kSocketVariable);
    if (starts_with(copy, wire::kSocketVariable) && copy[length] == '=') socket_value = copy + length + 1;
  }
  strip(array);
}

const char* socket_name() { return socket_value; }

std::size_t child_environment_bytes(char* const* envp) {
  if (socket_value == nullptr || shim_path == nullptr) return 0;
  std::size_t count = 0, preload = 0;
  for (; envp != nullptr && envp[count] != nullptr; ++count) {
    if (starts_with(envp[count], kPreload)) preload = length_of(envp[count]);
  }
  return (count + variable_count + 2) * sizeof(char*) + sizeof kPreload + length_of(shim_path) + preload + 2;
}

char** build_child_environment(char* const* envp, void* memory) {
  std::size_t count = 0;
  while (envp != nullptr && envp[count] != nullptr) ++count;
  char** out = static_cast<char**>(memory);
  char** const array = out;
  char* const preload = reinterpret_cast<char*>(out + count + variable_count + 2);
  const char* others = nullptr;
  for (unsigned i = 0; i < variable_count; ++i) *out++ = variables[i];
  *out++ = preload;
  for (std::size_t i = 0; i < count; ++i) {
    if (!replaced_in_child(envp[i])) *out++ = envp[i];
    if (starts_with(envp[i], kPreload)) others = envp[i] + sizeof kPreload - 1;
  }
  *out = nullptr;
  Text whole(preload, sizeof kPreload + length_of(shim_path) + 2 + (others != nullptr ? length_of(others) : 0));
  whole.add(kPreload).add(shim_path);
  if (others != nullptr && *others != 0) whole.add(":").add(others);
  whole.c_str();
  return array;
}

void lend_variables_to_environ() {
  lock_lending();
  const std::size_t need = child_environment_bytes(environ);
  if (need != 0 && lend_count == 0) {
    if (need > lent_bytes) {  // the old array is left alone: another thread may be reading it
      const std::size_t bytes = (need * 2 + 4095) & ~std::size_t{4095};
      lent = static_cast<char**>(map_private(bytes));
      lent_bytes = lent != nullptr ? bytes : 0;
    }
    if (lent != nullptr) {
      before_lending = environ;
      environ = build_child_environment(environ, lent);
    }
  }
  ++lend_count;
  lend_lock.store(0, std::memory_order_release);
}

void take_back_variables_from_environ() {
  lock_lending();
  if (--lend_count == 0 && before_lending != nullptr) {
    if (environ == lent) {
      environ = before_lending;
    } else if (environ != nullptr) {
      strip(environ);
    }
    before_lending = nullptr;
  }
  lend_lock.store(0, std::memory_order_release);
}

}  // namespace faultline::shim
