#include "analyze/curves/simulation.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::analyze {
namespace {

// Events handled between two looks ahead: what the policy prefetched for one block is used in the next.
constexpr std::size_t kBlock = 32;

}  // namespace

Simulation::Simulation(const mm::PolicyDescriptor& descriptor, mm::PolicyConfig config) : descriptor_(&descriptor), capacity_(config.capacity) {
  FL_ASSERT(capacity_ > 0);
  config.view = this;
  config.memory = huge_memory();
  states_.resize(config.pages, 0);
  policy_ = descriptor.create(config);
}

void Simulation::feed(const PageBatch& batch, mm::PageId pages, const std::uint32_t* next_uses) {
  if (pages > states_.size()) states_.resize(pages + pages / 2, 0);
  const bool variable = descriptor_->variable_size;
  switch (descriptor_->sees) {
    case mm::Sees::fault_only:
    case mm::Sees::accessed_bit:
      return variable ? run<mm::Sees::accessed_bit, true>(batch, nullptr) : run<mm::Sees::accessed_bit, false>(batch, nullptr);
    case mm::Sees::every_access:
      return variable ? run<mm::Sees::every_access, true>(batch, nullptr) : run<mm::Sees::every_access, false>(batch, nullptr);
    case mm::Sees::future:
      FL_ASSERT(next_uses != nullptr);
      return variable ? run<mm::Sees::future, true>(batch, next_uses) : run<mm::Sees::future, false>(batch, next_uses);
  }
}

template <mm::Sees sees, bool variable>
void Simulation::run(const PageBatch& batch, const std::uint32_t* next_uses) {
  const std::size_t count = batch.pages.size();
  const auto look_at = [&](std::size_t from) {
    const auto block = batch.pages.subspan(std::min(from, count), std::min(kBlock, count - std::min(from, count)));
    prefetch(block);
    policy_->prefetch(block);
  };
  look_at(0);
  for (std::size_t start = 0; start < count; start += kBlock) {
    look_at(start + kBlock);
    const std::size_t end = std::min(start + kBlock, count);
    for (std::size_t i = start; i < end; ++i) {
      const mm::PageId page = batch.pages[i];
      if (batch.events[i] == PageEvent::gone) [[unlikely]] {
        take_away(page);
        continue;
      }
      const bool write = batch.events[i] == PageEvent::write;
      mm::Moment now{counts_.references, mm::kNever, write};
      if constexpr (sees == mm::Sees::future) {
        const std::uint32_t next = next_uses[counts_.references];
        if (next != NextUses::kNever) now.next_use = next;
      }
      ++counts_.references;
      std::uint8_t& state = states_[page];
      if ((state & kResident) != 0) {
        state |= static_cast<std::uint8_t>(kAccessed | (write ? kDirty : 0));
        if constexpr (sees == mm::Sees::every_access || sees == mm::Sees::future) policy_->on_access(page, now);
      } else {
        miss(page, now);
      }
      if constexpr (variable) {
        while (const auto idle = policy_->pick_idle(now)) leave(*idle);
      }
      counts_.memory_time += resident_;
    }
  }
}

void Simulation::miss(mm::PageId page, const mm::Moment& now) {
  ++counts_.misses;
  counts_.cold_misses += (states_[page] & kSeen) == 0;
  policy_->on_miss(page, now);
  while (resident_ >= capacity_) leave(policy_->pick_victim());
  policy_->on_insert(page, now);
  states_[page] = static_cast<std::uint8_t>(kSeen | kResident | (now.write ? kDirty : 0));
  counts_.most_resident = std::max(counts_.most_resident, ++resident_);
}

void Simulation::leave(mm::PageId page) {
  FL_ASSERT((states_[page] & kResident) != 0);
  ++counts_.evictions;
  counts_.dirty_evictions += (states_[page] & kDirty) != 0;
  policy_->on_remove(page, mm::Removal::evicted);
  states_[page] = kSeen;
  --resident_;
}

void Simulation::take_away(mm::PageId page) {
  if ((states_[page] & kResident) != 0) {
    policy_->on_remove(page, mm::Removal::freed);
    ++counts_.freed;
    --resident_;
  } else if ((states_[page] & kSeen) != 0) {
    policy_->on_forget(page);
  }
  states_[page] = 0;
}

void Simulation::check_invariants() const {
  policy_->check_invariants();
  const auto resident = std::count_if(states_.begin(), states_.end(), [](std::uint8_t state) { return (state & kResident) != 0; });
  FL_ASSERT(static_cast<std::uint64_t>(resident) == resident_ && resident_ <= capacity_);
  FL_ASSERT(counts_.misses == counts_.evictions + counts_.freed + resident_);
}

Result<std::vector<SimulationCounts>> simulate(const mm::PolicyDescriptor& descriptor, PageStream& stream, std::span<const std::uint64_t> capacities,
                                               const mm::PolicyConfig& config) {
  NextUses uses;
  if (descriptor.sees == mm::Sees::future) {
    FL_TRY(uses, NextUses::of(stream));
  }
  std::vector<std::unique_ptr<Simulation>> simulations;
  for (const std::uint64_t capacity : capacities) {
    if (capacity == 0) return fail(make_error("policy {}: wanted at least one frame, found 0", descriptor.name));
    mm::PolicyConfig own = config;
    own.capacity = capacity;
    own.pages = stream.pages();
    simulations.push_back(std::make_unique<Simulation>(descriptor, own));
  }
  for (;;) {
    FL_TRY(const PageBatch batch, stream.next());
    if (batch.pages.empty()) break;
    for (const auto& simulation : simulations) simulation->feed(batch, stream.pages(), uses.data());
  }
  std::vector<SimulationCounts> counts;
  for (const auto& simulation : simulations) counts.push_back(simulation->counts());
  return counts;
}

Result<SimulationCounts> simulate(const mm::PolicyDescriptor& descriptor, PageStream& stream, const mm::PolicyConfig& config) {
  const std::uint64_t capacity = config.capacity;
  FL_TRY(const std::vector<SimulationCounts> counts, simulate(descriptor, stream, std::span(&capacity, 1), config));
  return counts[0];
}

}  // namespace faultline::analyze
