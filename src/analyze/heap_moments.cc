#include "analyze/heap_moments.h"

#include <fmt/format.h>

#include <unordered_map>

#include "analyze/format.h"
#include "replay/heap_looks.h"
#include "replay/load.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kManyEvents = 10'000'000;  // a report is to take seconds, and memory for what is live alone
constexpr double kSame = 0.99;                     // of the addresses: else the replay is another run

// Owners from stacks to sites, so that what a site holds is known of all its stacks together.
class Sites {
 public:
  explicit Sites(const NameOf& name_of) : name_of_(name_of) {}

  void rename(heap::HeapImage& image) {
    for (heap::ImagePiece& piece : image.pieces) {
      for (heap::ImageChunk& chunk : piece.chunks) {
        if (chunk.use == heap::ChunkUse::live && chunk.owner != heap::kNoOwner) chunk.owner = site_of(chunk.owner);
      }
    }
  }
  const SiteName& name(heap::OwnerId site) const { return *names_[site]; }

 private:
  const NameOf& name_of_;
  const SiteName inherited_ = {.function = "blocks inherited from the parent process", .file = {}, .module = {}, .via = {}, .callers = {}};
  std::unordered_map<trace::StackId, heap::OwnerId> sites_;
  std::unordered_map<std::string, heap::OwnerId> by_key_;
  std::vector<const SiteName*> names_;

  heap::OwnerId site_of(trace::StackId stack) {
    const auto [at, fresh] = sites_.try_emplace(stack, 0);
    if (fresh) {
      const SiteName& name = stack == replay::kInherited ? inherited_ : name_of_(stack);
      at->second = by_key_.try_emplace(name.key(), static_cast<heap::OwnerId>(names_.size())).first->second;
      if (at->second == names_.size()) names_.push_back(&name);
    }
    return at->second;
  }
};

HeapMomentState state_of(heap::HeapImage& image, Sites& sites) {
  HeapMomentState state;
  sites.rename(image);
  state.accounting = heap::account(image);
  heap::Pins pins = heap::pins_of(image);
  for (heap::EndPin& pin : pins.ends) {
    SiteEndPin& named = state.ends.emplace_back();
    for (const heap::Share& share : pin.owners) {
      if (share.owner != heap::kNoOwner) named.sites.push_back({sites.name(share.owner), share.blocks, share.bytes});
    }
    named.pin = std::move(pin);
  }
  for (const heap::PagePin& pin : pins.pages)
    state.pages.push_back({pin, pin.blocks.owner == heap::kNoOwner ? SiteName{} : sites.name(pin.blocks.owner)});
  return state;
}

}  // namespace

HeapProgram load_heap(trace::Recording& recording, const trace::ProcessInfo& process, std::uint64_t heap_events, HeapDetail detail) {
  HeapProgram result;
  if (detail == HeapDetail::never) {
    result.why_not = "--no-heap";
  } else if (detail == HeapDetail::up_to_a_size && heap_events > kManyEvents) {
    result.why_not = fmt::format("{} heap events are not replayed unless asked for with --heap", format_count(heap_events));
  } else if (Result<replay::Program> program = replay::load_program(recording, process)) {
    result.program = std::move(*program);
  } else {
    result.why_not = program.error().message();
  }
  return result;
}

HeapMoments heap_moments(const replay::Program& program, const trace::ProcessInfo& process, const NameOf& name_of) {
  HeapMoments result;
  const heap::Parameters parameters = replay::recorded_parameters(program);
  replay::HeapLooks looks;
  looks.wanted = {replay::HeapLooks::kEnd};
  replay::ReplayPlan plan;
  plan.placement = replay::Placement::recorded;
  plan.looks = &looks;
  replay::replay(program, parameters, plan);
  result.addresses_matched = looks.addresses_matched;
  result.addresses_total = looks.addresses_total;
  if (static_cast<double>(looks.addresses_matched) < kSame * static_cast<double>(looks.addresses_total)) {
    result.why_not = fmt::format("the replay puts only {} of {} blocks where they were", looks.addresses_matched, looks.addresses_total);
    return result;
  }
  const heap::Settings& settings = looks.seen.front().image.settings;
  result.trim_threshold = settings.trim_threshold;
  result.top_pad = settings.top_pad;
  result.mmap_threshold = settings.mmap_threshold;
  Sites sites(name_of);
  const auto add = [&](const char* when, replay::HeapLook& look) {
    HeapMomentState& state = result.moments.emplace_back(state_of(look.image, sites));
    state.when = when;
    state.events = look.event;
    const std::uint64_t at = look.event == 0 ? process.start_ns : program.events[look.event - 1].time * program.time_unit_ns;
    state.time_ns = at > process.start_ns ? at - process.start_ns : 0;
  };
  if (looks.peak < looks.seen.front().event) {
    replay::HeapLooks at_peak;
    at_peak.wanted = {looks.peak};
    at_peak.only = true;
    plan.looks = &at_peak;
    replay::replay(program, parameters, plan);
    add("peak", at_peak.seen.front());
  }
  add("end", looks.seen.front());
  return result;
}

}  // namespace faultline::analyze
