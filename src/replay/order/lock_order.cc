#include "replay/order/lock_order.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <numeric>

#include "heap/heap.h"
#include "replay/order/recorded_memory.h"
#include "replay/replayer.h"
#include "replay/thread_lives.h"

namespace faultline::replay {
namespace {

using heap::Address;
using trace::HeapOp;
using Model = heap::Heap<RecordedMemory>;

constexpr std::uint32_t kCheckpointEvery = 256;
constexpr std::size_t kCheckpoints = 48;
constexpr std::uint32_t kNear = 64, kFar = 50'000;  // how far behind a difference its cause is looked for
constexpr std::uint32_t kMostPlaces = 40;      // for one event
constexpr std::uint64_t kStoppedNs = 20'000;   // a call that took longer was not running all the time
constexpr std::size_t kMostGroup = 64;         // events of its thread that go along
constexpr std::uint32_t kLookAhead = 400;       // an order that gets so far beyond the difference is taken at once
constexpr std::uint32_t kMostTries = 2000;      // for one difference
constexpr std::uint64_t kMostSteps = 150'000'000;  // events replayed in trials, in all

class LockOrder {
 public:
  LockOrder(const Program& program, const EventTimes& times)
      : program_(program), times_(times), parameters_(recorded_parameters(program)), memory_(program.initial_brk),
        heap_(memory_, parameters_), lives_(program, true), slots_(program.slots), order_(program.events.size()),
        first_call_(program.events.size() + 1) {
    std::iota(order_.begin(), order_.end(), 0U);
    std::size_t call = 0;
    for (std::uint32_t event = 0; event < program.events.size(); ++event) {
      first_call_[event] = static_cast<std::uint32_t>(call);
      while (call < program.calls.size() && program.calls[call].event == event) ++call;
    }
    first_call_.back() = static_cast<std::uint32_t>(call);
  }

  OrderFound run() {
    OrderFound found;
    for (std::uint32_t at = 0; at < order_.size();) {
      if (at % kCheckpointEvery == 0) take_checkpoint(at);
      if (step(at)) {
        ++at;
      } else if (!repair(at)) {
        found.explains_all = false;
        break;
      } else {
        at = go_back(changed_from_);
      }
    }
    for (std::uint32_t at = 0; at < order_.size(); ++at) found.moved += order_[at] != at;
    if (found.moved != 0) found.order = std::move(order_);
    return found;
  }

 private:
  struct Checkpoint {
    std::uint32_t at = 0;
    RecordedMemory::Mark mark;
    std::unique_ptr<Model> heap;
    ThreadLives lives;
    std::size_t next_break = 0;
  };
  // In the places low to high one thread's events come first, or last; otherwise they keep their order.
  struct Move {
    std::uint32_t low = 0, high = 0;
    std::uint16_t thread = 0;
    bool first = true;
  };

  const Program& program_;
  const EventTimes& times_;
  const heap::Parameters parameters_;
  RecordedMemory memory_;
  Model heap_;
  ThreadLives lives_;
  std::size_t next_break_ = 0;
  std::vector<Address> slots_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> first_call_;
  std::deque<Checkpoint> checkpoints_;
  std::uint32_t changed_from_ = 0;
  std::uint64_t steps_in_trials_ = 0;

  void take_checkpoint(std::uint32_t at) {
    if (!checkpoints_.empty() && checkpoints_.back().at == at) return;
    if (checkpoints_.size() == kCheckpoints) {
      checkpoints_.pop_front();
      memory_.forget(checkpoints_.front().mark);
    }
    auto saved = std::make_unique<Model>(memory_, parameters_);
    saved->assign(heap_);
    checkpoints_.push_back({at, memory_.mark(), std::move(saved), lives_, next_break_});
  }

  // To the last checkpoint not after `at`; the position it stands for.
  std::uint32_t go_back(std::uint32_t at) {
    while (checkpoints_.size() > 1 && checkpoints_.back().at > at) checkpoints_.pop_back();
    const Checkpoint& checkpoint = checkpoints_.back();
    FL_ASSERT(checkpoint.at <= at);
    memory_.take_back(checkpoint.mark);
    heap_.assign(*checkpoint.heap);
    lives_ = checkpoint.lives;
    next_break_ = checkpoint.next_break;
    return checkpoint.at;
  }

  std::span<const AllocatorCall> calls_of(std::uint32_t event) const {
    return {program_.calls.data() + first_call_[event], program_.calls.data() + first_call_[event + 1]};
  }

  // Replays the event at this place of the order; false where it differs from what was recorded.
  bool step(std::uint32_t at) {
    const std::uint32_t index = order_[at];
    const Event& event = program_.events[index];
    for (; next_break_ < program_.foreign_breaks.size() && program_.foreign_breaks[next_break_].event <= at; ++next_break_)
      memory_.move_foreign_break(program_.foreign_breaks[next_break_].delta);
    memory_.accept_any();
    lives_.end_threads(at, heap_);
    memory_.expect(calls_of(index));
    try {
      lives_.begin(event.thread, heap_);
      const bool same = perform(event);
      lives_.begun(event.thread, heap_);
      return same && memory_.all_made();
    } catch (const Diverged&) {
      return false;
    }
  }

  bool perform(const Event& event) {
    const std::uint64_t size = program_.size_of(event);
    const heap::ThreadId thread = event.thread;
    if ((event.flags & (kUnknown | kFailed)) != 0) {
      if (event.op != HeapOp::realloc || (event.flags & kFailed) != 0) {
        memory_.accept_any();
        return true;
      }
      return gives(event, heap_.malloc(thread, size));
    }
    switch (event.op) {
      case HeapOp::free:
        heap_.free(thread, event.address);
        return true;
      case HeapOp::realloc: return gives(event, heap_.realloc(thread, slots_[event.other], size));
      case HeapOp::calloc: return gives(event, heap_.calloc(thread, 1, size));
      case HeapOp::memalign: return gives(event, heap_.memalign(thread, event.other, size));
      case HeapOp::pvalloc: return gives(event, heap_.pvalloc(thread, size));
      case HeapOp::mallopt:
        return heap_.mallopt(thread, static_cast<int>(event.other), static_cast<int>(event.size)) == static_cast<int>(event.address);
      case HeapOp::malloc_trim: return heap_.malloc_trim(thread, size) == static_cast<int>(event.address);
      default: return gives(event, heap_.malloc(thread, size));
    }
  }

  bool gives(const Event& event, Address address) {
    slots_[event.slot] = address;
    return address == event.address;
  }

  // ---- which orders the time stamps leave open ----

  // The arena whose lock an event takes if it takes one.
  static std::uint64_t arena_of(const Event& event) {
    return (event.flags & trace::kChunkNonMain) != 0 ? heap::align_down(event.address, heap::kThreadHeapBytes) : 0;
  }

  // May `late` have come before `early`? They overlapped, belong to two threads, and neither needs the other's block.
  bool may_precede(std::uint32_t late, std::uint32_t early) const {
    const Event &x = program_.events[early], &y = program_.events[late];
    if (x.thread == y.thread || early < times_.first || late < times_.first) return false;
    if (times_.begin(late) >= times_.end(early)) return false;
    if (x.address == y.address) return false;  // freed, then handed out again; or handed out, then freed
    return !(y.op == HeapOp::realloc && y.other == x.slot) && !(x.op == HeapOp::realloc && x.other == y.slot);
  }

  bool reserves_heap(std::uint32_t event) const {
    for (const AllocatorCall& call : calls_of(event))
      if (call.kind == trace::CallKind::mmap && (call.length == heap::kThreadHeapBytes || call.length == 2 * heap::kThreadHeapBytes)) return true;
    return false;
  }

  // Does it matter which came first? In one arena it may. A mapped block takes no arena's lock, but its free changes the
  // thresholds by which large blocks are placed and tops are trimmed; and where one heap lies tells where to try the next.
  bool matters(std::uint32_t a, std::uint32_t b) const {
    const Event &x = program_.events[a], &y = program_.events[b];
    const bool x_mapped = (x.flags & trace::kChunkMmapped) != 0, y_mapped = (y.flags & trace::kChunkMmapped) != 0;
    if (x_mapped || y_mapped) return (x_mapped || !calls_of(a).empty()) && (y_mapped || !calls_of(b).empty());
    return arena_of(x) == arena_of(y) || (reserves_heap(a) && reserves_heap(b));
  }

  bool may_precede_all(std::span<const std::uint32_t> late, std::uint32_t early) const {
    return std::all_of(late.begin(), late.end(), [&](std::uint32_t event) { return may_precede(event, early); });
  }

  // A thread that was stopped in a call has very many places to go.
  std::uint32_t most_places(std::uint32_t event) const { return times_.end(event) - times_.begin(event) < kStoppedNs ? kMostPlaces : kMostTries; }

  // The event at `from`, and those of its thread that it must stay behind, to earlier places: the nearest to `at` first.
  void add_earlier(std::vector<Move>& moves, std::uint32_t from, std::uint32_t low, std::uint32_t at) const {
    const std::uint16_t thread = program_.events[order_[from]].thread;
    std::vector<std::uint32_t> group{order_[from]};
    std::uint32_t added = 0;
    const std::uint32_t most = most_places(order_[from]);
    for (std::uint32_t to = from; to > low && added < most; --to) {
      const std::uint32_t other = order_[to - 1];
      if (program_.events[other].thread == thread) {
        group.push_back(other);
        if (group.size() > kMostGroup) return;
        continue;
      }
      if (!may_precede_all(group, other)) return;
      if (to - 1 > at || !std::any_of(group.begin(), group.end(), [&](std::uint32_t event) { return matters(event, other); })) continue;
      moves.push_back({to - 1, from, thread, true});
      ++added;
    }
  }

  // The event at `from`, and those of its thread that must stay behind it, to later places.
  void add_later(std::vector<Move>& moves, std::uint32_t from, std::uint32_t high, std::uint32_t at) const {
    const std::uint16_t thread = program_.events[order_[from]].thread;
    std::vector<std::uint32_t> group{order_[from]};
    const std::size_t first = moves.size();
    for (std::uint32_t to = from + 1; to < high && group.size() <= kMostGroup; ++to) {
      const std::uint32_t other = order_[to];
      if (program_.events[other].thread == thread) {
        group.push_back(other);
        continue;
      }
      if (!std::all_of(group.begin(), group.end(), [&](std::uint32_t event) { return may_precede(other, event); })) break;
      if (std::any_of(group.begin(), group.end(), [&](std::uint32_t event) { return matters(event, other); })) moves.push_back({from, to, thread, false});
    }
    // Those around `at` and the shortest ones, where there are very many.
    const std::size_t most = most_places(order_[from]);
    if (moves.size() - first <= 2 * most) return;
    const auto mine = moves.begin() + static_cast<std::ptrdiff_t>(first + most);
    std::stable_sort(mine, moves.end(), [at](const Move& x, const Move& y) { return distance(x.high, at) < distance(y.high, at); });
    moves.resize(first + 2 * most);
  }

  // Every way to move one event across others that it overlapped, between the oldest checkpoint and shortly after `at`.
  // Threads are stopped in the middle of a call, perhaps for a thousand calls of the others: those are looked for further on.
  std::vector<Move> moves_around(std::uint32_t at) const {
    std::vector<Move> moves;
    const std::uint32_t low = checkpoints_.front().at;
    const auto end = static_cast<std::uint32_t>(order_.size());
    const std::uint32_t near = std::min(end, at + kNear), far = std::min(end, at + kFar);
    std::vector<bool> seen(program_.threads.size());
    std::size_t threads_seen = 0;
    for (std::uint32_t from = at + 1; from < far && threads_seen < seen.size(); ++from) {
      const std::uint16_t thread = program_.events[order_[from]].thread;
      if (seen[thread]) continue;
      if (times_.begin(order_[from]) < times_.end(order_[at])) {
        add_earlier(moves, from, low, at);
      } else {
        seen[thread] = true;
        ++threads_seen;
      }
    }
    for (std::uint32_t from = near; from-- > low;) {
      if (from <= at || times_.begin(order_[from]) >= times_.end(order_[at])) add_earlier(moves, from, low, at);
      if (from <= at) add_later(moves, from, near, at);
    }
    return moves;
  }

  static std::uint32_t distance(std::uint32_t x, std::uint32_t y) { return x < y ? y - x : x - y; }
  static std::uint32_t nearness(const Move& move, std::uint32_t at) {
    if (move.low <= at && at <= move.high) return 0;
    return std::min(distance(move.low, at), distance(move.high, at));
  }

  // What stood there before, to be put back.
  std::vector<std::uint32_t> apply(const Move& move) {
    const auto low = order_.begin() + move.low, high = order_.begin() + move.high + 1;
    std::vector<std::uint32_t> before(low, high);
    std::stable_partition(low, high, [&](std::uint32_t event) { return (program_.events[event].thread == move.thread) == move.first; });
    return before;
  }
  void put_back(const Move& move, const std::vector<std::uint32_t>& before) {
    std::copy(before.begin(), before.end(), order_.begin() + move.low);
  }

  // How far the replay gets in the order as it is now, from the checkpoint before `from`.
  std::uint32_t reach(std::uint32_t from, std::uint32_t until) {
    const std::uint32_t first = go_back(from);
    std::uint32_t at = first;
    while (at < until && step(at)) ++at;
    steps_in_trials_ += at - first + 1;
    return at;
  }

  // Changes the order so that the replay gets beyond `at`, as far as it goes; false if no change does.
  bool repair(std::uint32_t at) {
    std::vector<Move> moves = moves_around(at);
    std::stable_sort(moves.begin(), moves.end(), [at](const Move& x, const Move& y) {
      return std::pair(nearness(x, at), x.high - x.low) < std::pair(nearness(y, at), y.high - y.low);
    });
    if (moves.size() > kMostTries) moves.resize(kMostTries);
    const auto until = static_cast<std::uint32_t>(std::min<std::size_t>(order_.size(), at + std::size_t{kLookAhead}));
    Move best;
    std::uint32_t best_reach = at;
    for (const Move& move : moves) {
      if (steps_in_trials_ > kMostSteps) break;
      const std::vector<std::uint32_t> before = apply(move);
      const std::uint32_t reached = reach(move.low, until);
      put_back(move, before);
      if (reached > best_reach) {
        best = move;
        best_reach = reached;
      }
      if (best_reach >= until) break;
    }
    if (best_reach <= at) return false;
    apply(best);
    changed_from_ = best.low;
    return true;
  }
};

}  // namespace

OrderFound find_lock_order(const Program& program, const EventTimes& times) { return LockOrder(program, times).run(); }

}  // namespace faultline::replay
