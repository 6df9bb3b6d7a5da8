#include "analyze/ledger/ledger_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "analyze/ledger/ledger_builder.h"
#include "replay/follow/exit_look.h"
#include "replay/follow/follow.h"
#include "replay/heap_looks.h"
#include "replay/replayer.h"
#include "replay/smaps.h"

namespace faultline::analyze {
namespace {

constexpr double kSame = 0.99;                       // of the addresses: else the replay is another run
constexpr std::uint64_t kNear = 100'000'000;         // ns: a sample further away says nothing of the moment
using NameOf = std::function<const SiteName&(trace::StackId)>;

// The last moment the process can be looked at: when it told its state, else just before it was gone.
std::uint64_t last_moment(trace::Recording& recording, const trace::ProcessInfo& process) {
  if (process.exit_seen && process.exit_report_ns != 0) return process.exit_report_ns;
  std::uint64_t end = process.end_ns;
  for (const trace::TaskEvent& task : recording.tasks()) {
    const bool ends = task.kind == trace::TaskKind::exit || task.kind == trace::TaskKind::exec;
    if (ends && task.pid == process.pid && task.time_ns > process.start_ns) end = std::min(end == 0 ? task.time_ns : end, task.time_ns);
  }
  return end > process.start_ns ? end - 1 : end;
}

// What the kernel said at the end, mapping by mapping; else the sample nearest to a moment.
class Measurements {
 public:
  Measurements(trace::Recording& recording, const trace::ProcessInfo& process) : samples_(recording.rss_samples(process.pid)) {
    std::erase_if(samples_, [&](const trace::RssSample& sample) {
      return sample.time_ns < process.start_ns || (process.exit_report_ns != 0 && sample.time_ns > process.exit_report_ns);
    });
    if (process.exit_report_ns == 0) return;
    trace::RssSample end{process.exit_report_ns, 0};
    for (const replay::Mapping& mapping : replay::parse_smaps(process.exit_maps)) end.rss_bytes += mapping.rss_bytes.value_or(0);
    if (end.rss_bytes != 0) samples_.push_back(end);
  }
  std::optional<trace::RssSample> near(std::uint64_t ns) const {
    const auto after = std::partition_point(samples_.begin(), samples_.end(), [&](const trace::RssSample& sample) { return sample.time_ns < ns; });
    std::optional<trace::RssSample> best;
    const auto distance = [&](const trace::RssSample& sample) { return sample.time_ns > ns ? sample.time_ns - ns : ns - sample.time_ns; };
    if (after != samples_.end()) best = *after;
    if (after != samples_.begin() && (!best || distance(*std::prev(after)) < distance(*best))) best = *std::prev(after);
    if (best && distance(*best) > kNear) best.reset();
    return best;
  }

 private:
  std::vector<trace::RssSample> samples_;
};

class Series {
 public:
  Series(trace::Recording& recording, const trace::ProcessInfo& process, const replay::Program* program, const NameOf& name_of)
      : recording_(recording), process_(process), program_(program), name_of_(name_of), measurements_(recording, process) {}

  LedgerSeries make(std::span<const LedgerMoment> moments, std::string heap_why_not) {
    out_.heap_why_not = std::move(heap_why_not);
    const std::uint64_t end = last_moment(recording_, process_);
    out_.end_ns = end > process_.start_ns ? end - process_.start_ns : 0;
    const bool peak = std::any_of(moments.begin(), moments.end(), [](const LedgerMoment& moment) { return moment.kind == LedgerMoment::Kind::peak; });
    if (peak && !find_peak(end)) return only_end(moments);
    for (const LedgerMoment& moment : moments) times_.push_back(process_.start_ns + moment.ns(out_.peak_ns, out_.end_ns));
    order_.resize(times_.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t x, std::size_t y) { return times_[x] < times_[y]; });
    if (!look()) return only_end(moments);
    return finish_all(moments);
  }

 private:
  // The run cannot be followed: what the process told at its end is all there is.
  LedgerSeries only_end(std::span<const LedgerMoment> moments) {
    std::optional<replay::MemoryLook> look = replay::look_at_exit(process_, recording_.touches(process_.pid));
    if (!look) return std::move(out_);
    out_.only_end_why = std::move(out_.why_not);
    out_.why_not.clear();
    looks_ = {};
    samples_.clear();
    times_.clear();
    order_.clear();
    for (const LedgerMoment& moment : moments) {
      times_.push_back(process_.start_ns + (moment.kind == LedgerMoment::Kind::peak ? 0 : moment.ns(0, out_.end_ns)));
      order_.push_back(order_.size());
    }
    std::stable_sort(order_.begin(), order_.end(), [&](std::size_t x, std::size_t y) { return times_[x] < times_[y]; });
    for (const std::size_t moment : order_) {
      looks_.wanted_ns.push_back(times_[moment]);
      replay::MemoryLook& seen = looks_.seen.emplace_back();
      if (times_[moment] == look->time_ns) seen = *look;
      seen.time_ns = times_[moment];
    }
    samples_.resize(order_.size());
    return finish_all(moments);
  }

  LedgerSeries finish_all(std::span<const LedgerMoment> moments) {
    out_.ledgers.resize(times_.size());
    if (program_ == nullptr || !divide_heap()) {
      for (std::size_t i = 0; i < order_.size(); ++i) finish(i, nullptr);
    }
    for (std::size_t i = 0; i < moments.size(); ++i) out_.ledgers[i].when = moments[i].text;
    measure();
    return std::move(out_);
  }

  trace::Recording& recording_;
  const trace::ProcessInfo& process_;
  const replay::Program* program_;
  const NameOf& name_of_;
  const SiteName inherited_ = {.function = "blocks inherited from the parent process", .file = {}, .module = {}, .via = {}, .callers = {}};
  const SiteName nobody_ = {.function = "blocks nobody was seen to allocate", .file = {}, .module = {}, .via = {}, .callers = {}};
  Measurements measurements_;
  LedgerSeries out_;
  std::vector<std::uint64_t> times_;  // of the moments, since the recording began
  std::vector<std::size_t> order_;    // moments by time
  replay::MemoryLooks looks_;         // by time, as order_
  std::vector<std::optional<trace::RssSample>> samples_;  // as order_
  std::optional<AddressMap> areas_;
  std::vector<trace::MemoryCall> calls_;
  std::size_t next_call_ = 0;

  bool find_peak(std::uint64_t end) {
    replay::MemoryLooks looks;
    looks.pid = process_.pid;
    looks.since_ns = process_.start_ns;
    looks.until_ns = end;
    if (!followed(looks)) return false;
    out_.peak_ns = looks.peak_ns > process_.start_ns ? looks.peak_ns - process_.start_ns : 0;
    return true;
  }

  bool followed(replay::MemoryLooks& looks) {
    const replay::Follow follow = replay::follow(recording_, &looks);
    if (!follow.possible) out_.why_not = follow.reason;
    else if (!recording_.meta().faults_recorded || !recording_.meta().kernel_mode_faults)
      out_.why_not = "the recording does not hold every page fault (those inside system calls need root or CAP_PERFMON)";
    return out_.why_not.empty();
  }

  bool look() {
    looks_.pid = process_.pid;
    for (const std::size_t moment : order_) {
      looks_.wanted_ns.push_back(times_[moment]);
      samples_.push_back(measurements_.near(times_[moment]));
      if (samples_.back()) looks_.totals_ns.push_back(samples_.back()->time_ns);
    }
    std::sort(looks_.totals_ns.begin(), looks_.totals_ns.end());
    looks_.since_ns = process_.start_ns;
    if (!followed(looks_)) return false;
    out_.fork_copies = std::move(looks_.copies);
    out_.fork_reuses = looks_.reuses;
    return true;
  }

  // The heap at each moment, one image at a time.
  bool divide_heap() {
    replay::HeapLooks heap;
    for (const std::uint64_t time : looks_.wanted_ns) heap.wanted.push_back(events_until(time));
    std::size_t next = 0;
    heap.take = [&](replay::HeapLook&& look) {
      finish(next, &look.image);
      ++next;
    };
    replay::ReplayPlan plan;
    plan.placement = replay::Placement::recorded;
    plan.looks = &heap;
    replay::replay(*program_, replay::recorded_parameters(*program_), plan);
    if (static_cast<double>(heap.addresses_matched) >= kSame * static_cast<double>(heap.addresses_total)) return true;
    out_.heap_why_not = fmt::format("the replay puts only {} of {} blocks where they were", heap.addresses_matched, heap.addresses_total);
    areas_.reset();
    return false;
  }

  std::size_t events_until(std::uint64_t time) const {
    const auto& events = program_->events;
    const auto after = std::partition_point(events.begin(), events.end(), [&](const replay::Event& event) { return event.time * program_->time_unit_ns <= time; });
    return std::max<std::size_t>(program_->first_own_event(), static_cast<std::size_t>(after - events.begin()));
  }

  const AddressMap& areas_at(std::uint64_t time, const heap::HeapImage* image) {
    if (!areas_) {
      calls_ = recording_.calls(process_.pid);
      const std::vector<trace::Module> modules = recording_.modules(process_.pid);
      areas_.emplace(process_, modules, recording_.meta().calls_exact);
      next_call_ = 0;
    }
    for (; next_call_ < calls_.size() && calls_[next_call_].begin_ns <= time; ++next_call_) areas_->apply(calls_[next_call_]);
    if (image != nullptr) {
      for (const heap::ImagePiece& piece : image->pieces) {
        if (piece.arena != heap::kMainArena) areas_->note_thread_arena(piece.start);
      }
    }
    return *areas_;
  }

  // i: of order_. Each moment once, by time.
  void finish(std::size_t i, heap::HeapImage* image) {
    const replay::MemoryLook& look = looks_.seen[i];
    BuiltLedger built = build_ledger(look, image, areas_at(look.time_ns, image));
    Ledger& ledger = out_.ledgers[order_[i]] = std::move(built.ledger);
    ledger.time_ns = look.time_ns - std::min(look.time_ns, process_.start_ns);
    name_sites(ledger, built.owners);
  }

  void name_sites(Ledger& ledger, const std::vector<LedgerOwner>& owners) const {
    std::unordered_map<std::string, std::size_t> rows;
    for (const LedgerOwner& owner : owners) {
      const SiteName& name = owner.owner == heap::kNoOwner ? nobody_ : owner.owner == replay::kInherited ? inherited_ : name_of_(owner.owner);
      const auto [at, fresh] = rows.try_emplace(name.key(), ledger.sites.size());
      if (fresh) ledger.sites.push_back({.name = name});
      LedgerSite& site = ledger.sites[at->second];
      site.blocks += owner.blocks;
      site.resident_bytes += owner.resident_bytes;
      site.untouched_bytes += owner.untouched_bytes;
    }
    std::sort(ledger.sites.begin(), ledger.sites.end(), [](const LedgerSite& x, const LedgerSite& y) {
      if (x.resident_bytes != y.resident_bytes) return x.resident_bytes > y.resident_bytes;
      return x.untouched_bytes != y.untouched_bytes ? x.untouched_bytes > y.untouched_bytes : x.name.key() < y.name.key();
    });
  }

  void measure() {
    for (std::size_t i = 0; i < order_.size(); ++i) {
      Ledger& ledger = out_.ledgers[order_[i]];
      if (!ledger.there || !samples_[i]) continue;
      const auto at = std::lower_bound(looks_.totals_ns.begin(), looks_.totals_ns.end(), samples_[i]->time_ns) - looks_.totals_ns.begin();
      const std::uint64_t twin = looks_.totals[static_cast<std::size_t>(at)];
      if (twin != 0) ledger.measured = LedgerMeasurement{samples_[i]->time_ns - std::min(samples_[i]->time_ns, process_.start_ns), samples_[i]->rss_bytes, twin};
    }
  }
};

}  // namespace

LedgerSeries ledger_series(trace::Recording& recording, const trace::ProcessInfo& process, const replay::Program* program, std::string heap_why_not,
                           std::span<const LedgerMoment> moments, const NameOf& name_of) {
  return Series(recording, process, program, name_of).make(moments, std::move(heap_why_not));
}

}  // namespace faultline::analyze
