#include "mm/reclaim/policy.h"

#include <string_view>

namespace faultline::mm {

std::span<const PolicyDescriptor> policies() { return Registry<PolicyDescriptor>::instance().entries(); }

const PolicyDescriptor* find_policy(std::string_view name) {
  for (const PolicyDescriptor& policy : policies()) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

}  // namespace faultline::mm
