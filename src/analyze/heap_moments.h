// What malloc's heaps held at the peak and at the end, byte by byte, and whose blocks kept free memory: by replaying the
// recording in the twin, where every chunk and every resident page is known.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analyze/site_names.h"
#include "heap/pins.h"
#include "replay/program.h"
#include "trace/recording.h"

namespace faultline::analyze {

struct SiteShare {
  SiteName name;
  std::uint64_t blocks = 0, bytes = 0;  // bytes asked for
};

struct SiteEndPin {
  heap::EndPin pin;
  std::vector<SiteShare> sites;  // of pin.owners
};

struct SitePagePin {
  heap::PagePin pin;
  SiteName name;  // not of kNoOwner
};

struct HeapMomentState {
  std::string when;            // "peak", "end"
  std::uint64_t time_ns = 0;   // since the process began
  std::uint64_t events = 0;    // heap events until then
  heap::Accounting accounting;
  std::vector<SiteEndPin> ends;
  std::vector<SitePagePin> pages;
};

struct HeapMoments {
  std::string why_not;  // one line; then there is nothing else
  std::uint64_t addresses_matched = 0, addresses_total = 0;  // blocks the replay put where they were recorded
  std::uint64_t trim_threshold = 0, top_pad = 0, mmap_threshold = 0;  // bytes, at the end
  std::vector<HeapMomentState> moments;  // peak: of the resident memory of the process

  const HeapMomentState* end() const { return moments.empty() ? nullptr : &moments.back(); }
};

enum class HeapDetail : std::uint8_t { up_to_a_size, always, never };  // whether the process is replayed for it

using NameOf = std::function<const SiteName&(trace::StackId)>;

// The process's heap events, if they are to be replayed and can be: a pass over them, 0.2 s and 32 MB a million.
struct HeapProgram {
  std::optional<replay::Program> program;
  std::string why_not;  // one line; then there is none
};
HeapProgram load_heap(trace::Recording& recording, const trace::ProcessInfo& process, std::uint64_t heap_events, HeapDetail detail);

// Up to two replays: 0.2 s a million events. Stacks whose names have the same key are one site.
HeapMoments heap_moments(const replay::Program& program, const trace::ProcessInfo& process, const NameOf& name_of);

}  // namespace faultline::analyze
