#include "malloc/start.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstring>

#include "heap/tunable_table.h"
#include "malloc/raw_read.h"

extern "C" void* __libc_stack_end;  // ld.so: where the kernel left argc, argv, NULL, envp, NULL

namespace faultline::allocator {
namespace {

char** initial_environment() {
  auto* const stack = static_cast<std::intptr_t*>(__libc_stack_end);
  return reinterpret_cast<char**>(stack + 1 + *stack + 1);
}

void read_tunables(heap::Tunables& tunables) {
  if (getauxval(AT_SECURE) != 0) return;
  constexpr std::string_view kVariable = "GLIBC_TUNABLES=";
  const auto silent = [](auto&&...) {};
  char** const environment = initial_environment();
  for (char** at = environment; *at != nullptr; ++at) {
    std::string_view text(*at);
    if (!text.starts_with(kVariable)) continue;
    text.remove_prefix(kVariable.size());
    heap::read_glibc_tunables(tunables, text, silent);
  }
  for (char** at = environment; *at != nullptr; ++at) {
    if (std::strncmp(*at, "MALLOC_", 7) == 0) heap::read_malloc_variable(tunables, *at, silent);
  }
}

// "0-1,4": how many that is.
int count_cpus(const char* list) {
  int count = 0;
  for (const char* at = list; *at >= '0' && *at <= '9';) {
    int first = 0, last = 0;
    while (*at >= '0' && *at <= '9') first = first * 10 + (*at++ - '0');
    last = first;
    if (*at == '-') {
      for (last = 0, ++at; *at >= '0' && *at <= '9';) last = last * 10 + (*at++ - '0');
    }
    count += last - first + 1;
    if (*at == ',') ++at;
  }
  return count;
}

}  // namespace

heap::Parameters parameters_at_start() {
  heap::Parameters parameters;
  read_tunables(parameters.tunables);
  char text[512];
  parameters.cpus_online = read_file("/sys/devices/system/cpu/online", text) ? count_cpus(text) : 0;
  parameters.strict_overcommit = read_file("/proc/sys/vm/overcommit_memory", text) && text[0] == '2';
  if (parameters.tunables.hugetlb == 1 && read_file("/sys/kernel/mm/transparent_hugepage/enabled", text) &&
      std::strstr(text, "[madvise]") != nullptr && read_file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", text)) {
    parameters.thp_madvise_bytes = heap::read_tunable_number({text, std::strcspn(text, "\n")}).value;
  }
  return parameters;
}

}  // namespace faultline::allocator
