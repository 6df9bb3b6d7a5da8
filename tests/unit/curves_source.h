// A reference source over events in memory.
#pragma once

#include <algorithm>
#include <vector>

#include "reclaim_streams.h"
#include "trace/references/reference.h"

namespace faultline::testing {

class VectorSource final : public trace::ReferenceSource {
 public:
  explicit VectorSource(std::vector<trace::ReferenceEvent> events, bool again = true) : events_(std::move(events)), again_(again) {}
  Result<std::size_t> next(std::span<trace::ReferenceEvent> buffer) override {
    const std::size_t count = std::min(buffer.size(), events_.size() - at_);
    std::copy_n(events_.begin() + static_cast<long>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }
  Result<void> rewind() override {
    if (!again_) return fail(make_error("a pipe"));
    at_ = 0;
    return {};
  }
  const std::vector<trace::ReferenceFile>& files() const override { return files_; }
  bool has_mappings() const override { return false; }

 private:
  std::vector<trace::ReferenceEvent> events_;
  std::vector<trace::ReferenceFile> files_;
  std::size_t at_ = 0;
  bool again_;
};

// Page 0 is page 1000 of process 0, and so on.
inline std::vector<trace::ReferenceEvent> references(const Stream& stream) {
  std::vector<trace::ReferenceEvent> events;
  for (const StreamEvent& event : stream) {
    trace::ReferenceEvent reference;
    reference.kind = event.kind == analyze::PageEvent::gone    ? trace::ReferenceKind::discard
                     : event.kind == analyze::PageEvent::write ? trace::ReferenceKind::write
                                                               : trace::ReferenceKind::read;
    reference.page = 1000 + event.page;
    events.push_back(reference);
  }
  return events;
}

}  // namespace faultline::testing
