#include "replay/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <thread>

#include "replay/replayer.h"

namespace faultline::replay {
namespace {

using trace::CallKind;
using trace::HeapOp;

std::string operation_of(const Program& program, const Event& event) {
  const std::uint64_t size = program.size_of(event);
  switch (event.op) {
    case HeapOp::malloc: return fmt::format("malloc({})", size);
    case HeapOp::calloc: return fmt::format("calloc of {} bytes", size);
    case HeapOp::realloc: return fmt::format("realloc to {}", size);
    case HeapOp::free: return fmt::format("free({:#x})", event.address);
    case HeapOp::memalign: return fmt::format("memalign({}, {})", event.other, size);
    case HeapOp::pvalloc: return fmt::format("pvalloc({})", size);
    case HeapOp::mallopt: return fmt::format("mallopt({}, {})", static_cast<int>(event.other), static_cast<int>(event.size));
    case HeapOp::malloc_trim: return fmt::format("malloc_trim({})", size);
  }
  return "?";
}

// The model's call in the recording's terms.
AllocatorCall as_recorded(const heap::CallRecord& call) {
  AllocatorCall made{.address = call.address, .length = call.length, .new_length = call.new_length, .result = call.result};
  switch (call.kind) {
    case heap::MemoryCall::sbrk:
      made.kind = CallKind::brk;
      made.address = call.result + static_cast<std::uint64_t>(call.delta);
      break;
    case heap::MemoryCall::map: made.kind = CallKind::mmap; break;
    case heap::MemoryCall::unmap: made.kind = CallKind::munmap; break;
    case heap::MemoryCall::remap: made.kind = CallKind::mremap; break;
    case heap::MemoryCall::protect: made.kind = CallKind::mprotect; break;
    case heap::MemoryCall::advise: made.kind = CallKind::madvise; break;
  }
  return made;
}

// Where mmap puts a mapping is the kernel's choice, so its address is not compared.
bool same_call(const AllocatorCall& x, const AllocatorCall& y) {
  if (x.kind != y.kind) return false;
  switch (x.kind) {
    case CallKind::brk: return x.address == y.address;
    case CallKind::mmap: return x.length == y.length;
    default: return x.address == y.address && x.length == y.length && x.new_length == y.new_length;
  }
}

std::string text_of(const AllocatorCall& call) {
  switch (call.kind) {
    case CallKind::brk: return fmt::format("brk({:#x})", call.address);
    case CallKind::mmap: return fmt::format("mmap({})", call.length);
    case CallKind::munmap: return fmt::format("munmap({:#x}, {})", call.address, call.length);
    case CallKind::mremap: return fmt::format("mremap({:#x}, {}, {})", call.address, call.length, call.new_length);
    case CallKind::madvise: return fmt::format("madvise({:#x}, {})", call.address, call.length);
    case CallKind::mprotect: return fmt::format("mprotect({:#x}, {})", call.address, call.length);
    default: return trace::call_name(call.kind);
  }
}

class Comparison : public ReplayWatch {
 public:
  Comparison(const Program& program, Verification& out) : program_(program), out_(out) {}

  void after(std::size_t index, const Event& event, std::uint64_t result, std::span<const heap::CallRecord> calls) override {
    if (index < program_.first_own_event()) return;  // of the process it was forked from
    compare_calls(index, event, calls);
    const bool has_result = event.op != HeapOp::free;
    if (!has_result || (event.flags & (kUnknown | kFailed))) return;
    ++out_.addresses_total;
    if (result == event.address) {
      ++out_.addresses_matched;
    } else if (!out_.first_address) {
      out_.first_address = at(index, event);
      const bool address = event.op != HeapOp::mallopt && event.op != HeapOp::malloc_trim;
      out_.first_address->expected = address ? fmt::format("{:#x}", event.address) : fmt::format("{}", event.address);
      out_.first_address->got = address ? fmt::format("{:#x}", result) : fmt::format("{}", result);
    }
  }

 private:
  const Program& program_;
  Verification& out_;
  std::size_t next_ = 0;  // in program_.calls

  Divergence at(std::size_t index, const Event& event) const {
    return {.event = index,
            .time_ns = event.time * program_.time_unit_ns,
            .tid = program_.threads[event.thread].tid,
            .stack = event.stack,
            .operation = operation_of(program_, event),
            .expected = {},
            .got = {}};
  }

  // Call by call within the event: one that is missing does not shift all that follow.
  void compare_calls(std::size_t index, const Event& event, std::span<const heap::CallRecord> model) {
    for (; next_ < program_.calls.size() && program_.calls[next_].event < index; ++next_)
      if (program_.calls[next_].event >= program_.first_own_event()) miss_unreplayed();
    std::size_t end = next_;
    while (end < program_.calls.size() && program_.calls[end].event == index) ++end;
    const std::size_t first = next_;
    next_ = end;
    if (!program_.calls_exact) return;
    const std::size_t recorded = end - first;
    out_.calls_total += std::max(recorded, model.size());
    bool equal = recorded == model.size();
    for (std::size_t i = 0; i < std::min(recorded, model.size()); ++i) {
      if (same_call(program_.calls[first + i], as_recorded(model[i]))) {
        ++out_.calls_matched;
      } else {
        equal = false;
      }
    }
    if (equal || out_.first_call) return;
    out_.first_call = at(index, event);
    for (std::size_t i = 0; i < recorded; ++i)
      out_.first_call->expected += (i ? ", " : "") + text_of(program_.calls[first + i]);
    for (std::size_t i = 0; i < model.size(); ++i) out_.first_call->got += (i ? ", " : "") + text_of(as_recorded(model[i]));
    if (recorded == 0) out_.first_call->expected = "no call";
    if (model.empty()) out_.first_call->got = "no call";
  }

  // Calls of an event that could not be replayed (its block is unknown): the model made none.
  void miss_unreplayed() {
    if (program_.calls_exact) ++out_.calls_total;
  }
};

// Within 3 %, or a handful of faults: of a program that takes thirty, 3 % is less than one.
bool close(const Pair& pair) {
  constexpr std::uint64_t kHandful = 5;
  const std::uint64_t apart = pair.predicted > pair.observed ? pair.predicted - pair.observed : pair.observed - pair.predicted;
  return apart <= kHandful || pair.error() <= kTolerance;
}

}  // namespace

double Pair::error() const {
  if (predicted == observed) return 0;
  if (observed == 0) return 1;
  return std::abs(static_cast<double>(predicted) - static_cast<double>(observed)) / static_cast<double>(observed);
}

bool Verification::faults_within() const {
  return !faults_compared || (close(minor) && close(malloc_minor()));
}

bool Verification::rss_within() const {
  if (!rss_compared) return true;
  const auto apart = std::abs(static_cast<double>(rss_peak.predicted) - static_cast<double>(rss_peak.observed));
  return apart <= kTolerance * static_cast<double>(rss_peak.observed) + static_cast<double>(rss_peak_resolution_bytes);
}

std::optional<double> Verification::fault_error() const {
  if (!faults_compared) return std::nullopt;
  return malloc_minor().error();
}

std::optional<double> Verification::rss_error() const {
  if (!rss_compared) return std::nullopt;
  return rss_peak.error();
}

namespace {

Verification put_beside(const Program& program, Verification v, const Prediction& twin, const Prediction& own) {
  v.events = program.events.size() - program.first_own_event();
  v.calls_compared = program.calls_exact;
  v.prediction = own;
  const Observed& seen = program.observed;
  v.faults_compared = seen.faults;
  v.heap_minor = {twin.heap_minor, seen.heap_minor};
  v.mmapped_minor = {twin.mmapped_minor, seen.mmapped_minor};
  v.thread_heap_minor = {twin.thread_heap_minor, seen.thread_heap_minor};
  v.rest_minor = {seen.rest_minor, seen.rest_minor};
  v.minor = {twin.minor_faults(), seen.minor()};
  v.major = {twin.major_faults, seen.major()};
  v.rss_compared = seen.rss_peak_bytes != 0;
  v.rss_peak = {twin.rss_peak_bytes, seen.rss_peak_bytes_at(twin.peak_time)};
  v.rss_peak_resolution_bytes = seen.rss_peak_resolution_bytes;
  v.rss_end = {twin.rss_end_bytes, seen.rss_end_bytes};
  return v;
}

// What is replayed for verify: the recorded placement, touches that no recorded fault told.
ReplayPlan plan_of(Comparison& comparison) {
  ReplayPlan plan;
  plan.placement = Placement::recorded;
  plan.touches = Touches::by_residency;
  plan.watch = &comparison;
  return plan;
}

}  // namespace

Verification verify(const Program& program) {
  Verification v;
  Comparison comparison(program, v);
  const Prediction twin = *replay(program, recorded_parameters(program), plan_of(comparison));
  return put_beside(program, std::move(v), twin, replay(program, recorded_parameters(program), Placement::own));
}

std::optional<Verification> verify_until(const Program& program, const std::function<bool()>& late) {
  std::optional<Prediction> own;
  std::thread beside([&] {
    ReplayPlan plan;
    plan.give_up = [&](const ReplayProgress&) { return late(); };
    own = replay(program, recorded_parameters(program), plan);
  });
  Verification v;
  Comparison comparison(program, v);
  ReplayPlan plan = plan_of(comparison);
  plan.give_up = [&](const ReplayProgress&) { return late(); };
  const std::optional<Prediction> twin = replay(program, recorded_parameters(program), plan);
  beside.join();
  if (!twin || !own) return std::nullopt;
  return put_beside(program, std::move(v), *twin, *own);
}

}  // namespace faultline::replay
