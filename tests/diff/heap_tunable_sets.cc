#include "heap_tunable_sets.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/assert.h"

namespace faultline::diff {
namespace {

constexpr const char* kTunableSets[] = {
    "",
    "glibc.malloc.tcache_count=0",
    "glibc.malloc.tcache_count=100",
    "glibc.malloc.tcache_max=200",
    "glibc.malloc.tcache_unsorted_limit=3",
    "glibc.malloc.tcache_unsorted_limit=1:glibc.malloc.mxfast=0:glibc.malloc.tcache_count=3",
    "glibc.malloc.mxfast=160:glibc.malloc.tcache_count=2",
    "glibc.malloc.mmap_threshold=40000",
    "glibc.malloc.mmap_threshold=1000000000:glibc.malloc.trim_threshold=1000000000",
    "glibc.malloc.mmap_max=0",
    "glibc.malloc.mmap_max=3",
    "glibc.malloc.top_pad=0",
    "glibc.malloc.top_pad=1000000:glibc.malloc.trim_threshold=0",
    "glibc.malloc.trim_threshold=5000",
    "glibc.malloc.perturb=90",
    "glibc.malloc.mmap_threshold=1G:glibc.malloc.tcache_count=0",
    "glibc.malloc.mmap_threshold=0:glibc.malloc.mmap_max=40",
    "glibc.malloc.hugetlb=1",
    "glibc.malloc.hugetlb=1:glibc.malloc.top_pad=300000:glibc.malloc.tcache_count=1",
    "glibc.malloc.mxfast=64:glibc.malloc.tcache_max=0",
    "glibc.malloc.hugetlb=2",
    "glibc.malloc.mmap_max=0:glibc.malloc.tcache_count=2",
};

// How many arenas threads may have: one, all they want, a few to share.
const char* arena_limit(Style style, std::uint64_t seed) {
  static constexpr const char* kLimits[] = {"", "glibc.malloc.arena_max=2", "glibc.malloc.arena_max=3", "", "glibc.malloc.arena_test=1",
                                            "glibc.malloc.arena_max=6", "glibc.malloc.arena_test=20"};
  if (style == Style::threads) return "glibc.malloc.arena_max=1";
  return style > Style::threads ? kLimits[seed % std::size(kLimits)] : "";
}

heap::Version version() {
  const char* const name = std::getenv("FAULTLINE_HEAP_VERSION");
  if (name == nullptr) return {};
  const auto named = heap::Version::named(name);
  FL_ASSERT(named);
  return *named;
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool thp_is(const char* mode) {
  return first_line("/sys/kernel/mm/transparent_hugepage/enabled").find(mode) != std::string::npos;
}

}  // namespace

heap::Parameters parameters_for(const std::string& tunables) {
  heap::Parameters parameters;
  parameters.version = version();
  parameters.cpus_online = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  parameters.strict_overcommit = first_line("/proc/sys/vm/overcommit_memory") == "2";
  parameters.tunables = heap::Tunables::from_environment(tunables, {});
  if (thp_is("[madvise]")) {
    parameters.thp_madvise_bytes = std::strtoull(first_line("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").c_str(), nullptr, 10);
  }
  return parameters;
}

Style style_of(std::uint64_t seed) { return static_cast<Style>(seed % static_cast<std::uint64_t>(Style::count)); }

std::string tunables_of(std::uint64_t seed) {
  const std::string set = kTunableSets[(seed / static_cast<std::uint64_t>(Style::count)) % std::size(kTunableSets)];
  const std::string limit = arena_limit(style_of(seed), seed);
  return set + (set.empty() || limit.empty() ? "" : ":") + limit;
}

bool can_check_residency(const std::string& tunables) {
  return tunables.find("hugetlb") == std::string::npos && !thp_is("[always]");
}

}  // namespace faultline::diff
