// ReplayPlan: how a program is replayed besides the parameters, and when that is given up.
#pragma once

#include <cstdint>
#include <functional>

#include "heap/outcome_box.h"
#include "replay/program.h"

namespace faultline::replay {

enum class Placement : std::uint8_t {
  recorded,  // mmap answers what it answered when recorded: for comparing addresses
  own,       // the twin's kernel chooses, top-down
};

// What tells which pages the program touches.
enum class Touches : std::uint8_t {
  by_residency,  // residency of blocks when they went: independent of the recorded faults, which verify compares with
  by_faults,     // the recorded faults where there are any: what, when, and whether it was read first
};

// The program, changed so that it calls malloc_trim(0) every so often: in its heap call that follows. Where it makes no heap
// call for longer than that, the trims that would find nothing new are left out.
struct TrimPeriod {
  std::uint64_t every_ns = 0;     // 0: not by time
  std::uint64_t every_frees = 0;  // 0: not by frees
  bool operator==(const TrimPeriod&) const = default;
  bool any() const { return every_ns != 0 || every_frees != 0; }
};

// How far a replay is, for whoever may give it up.
struct ReplayProgress {
  double cost_ns = 0;
  std::uint64_t rss_peak_bytes = 0;
};

class ReplayWatch;
struct HeapLooks;
struct Workspace;

struct ReplayPlan {
  Placement placement = Placement::own;
  Touches touches = Touches::by_faults;
  TrimPeriod trim;
  bool without_mallopt = false;     // the program, changed so that it calls mallopt no more
  std::uint64_t heap_moved = 0;     // the heap begins so many bytes, whole pages, above where it was recorded; with Placement::own
  std::uint64_t mappings_moved = 0; // malloc's first mapping lies so many bytes lower; likewise
  std::function<bool(const ReplayProgress&)> give_up;  // asked every few thousand events; may be empty
  ReplayWatch* watch = nullptr;
  heap::OutcomeBox* box = nullptr;                     // gets the settings that would have the same outcome
  Workspace* workspace = nullptr;                      // saves time where several replays are made one after another
  HeapLooks* looks = nullptr;                          // gets what the heap looks like when it says
};

// When the trims of a plan are due.
class TrimClock {
 public:
  TrimClock(const TrimPeriod& period, const Program& program) : frees_(period.every_frees), ticks_(period.every_ns / program.time_unit_ns) {
    if (period.every_ns != 0 && ticks_ == 0) ticks_ = 1;
    if (ticks_ != 0 && !program.events.empty()) due_ = program.events.front().time + ticks_;
  }
  bool running() const { return frees_ != 0 || ticks_ != 0; }
  // Before each event, in order.
  bool due(const Event& event) {
    bool now = false;
    if (frees_ != 0 && seen_ >= frees_) {
      seen_ = 0;
      now = true;
    }
    if (ticks_ != 0 && event.time >= due_) {
      due_ += (event.time - due_) / ticks_ * ticks_ + ticks_;
      now = true;
    }
    if (event.op == trace::HeapOp::free) ++seen_;
    return now;
  }

 private:
  std::uint64_t frees_, ticks_, seen_ = 0, due_ = 0;
};

}  // namespace faultline::replay
