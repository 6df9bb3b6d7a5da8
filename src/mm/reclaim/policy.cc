#include "mm/reclaim/policy.h"

#include <string_view>

namespace faultline::mm {

std::span<const PolicyDescriptor> policies() { return Registry<PolicyDescriptor>::instance().entries(); }

std::uint64_t Policy::reclaim(std::uint64_t pages, Evictor& evictor) {
  std::uint64_t freed = 0;
  for (std::uint64_t kept = 0; freed < pages && kept < 1024;) {
    const PageId victim = pick_victim();
    if (victim == kNoPage) break;
    if (evictor.evict_now(victim) == Eviction::freed) {
      ++freed;
      continue;
    }
    ++kept;  // it is as good as new
    on_remove(victim, Removal::freed);
    on_insert(victim, Moment{});
  }
  return freed;
}

const PolicyDescriptor* find_policy(std::string_view name) {
  for (const PolicyDescriptor& policy : policies()) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

}  // namespace faultline::mm
