#include "analyze/curves/page_stream.h"

#include <algorithm>

namespace faultline::analyze {
namespace {

constexpr std::size_t kBatch = 4096;
constexpr std::size_t kAhead = 16;  // references between a prefetch and its use

}  // namespace

ReferencePages::ReferencePages(trace::ReferenceSource& source, PageSample sample) : PageStream(sample), source_(&source), buffer_(kBatch) {}

Result<PageBatch> ReferencePages::next() {
  pages_.clear();
  events_.clear();
  // A batch may be empty though the stream goes on: none of its pages sampled, or calls that touch nothing known.
  while (pages_.empty()) {
    FL_TRY(const std::size_t count, source_->next(buffer_));
    if (count == 0) break;
    for (std::size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) {
        const trace::ReferenceEvent& ahead = buffer_[i + kAhead];
        if (sample_.all()) numbering_.prefetch(page_hash(ahead.page, ahead.process));
      }
      FL_CHECK(take(buffer_[i]));
    }
  }
  return PageBatch{pages_, events_};
}

Result<void> ReferencePages::take(const trace::ReferenceEvent& event) {
  if (trace::is_touch(event.kind)) {
    ++references_;
    if (!sample_.all() && sample_hash(event.page, event.process, sample_.salt) >= sample_.below) return {};
    const mm::PageId page = number(event.page, event.process, page_hash(event.page, event.process));
    if (page == mm::kNoPage) return fail(table_full());
    push(page, event.kind == trace::ReferenceKind::write ? PageEvent::write : PageEvent::read);
  } else if (event.kind == trace::ReferenceKind::unmap || event.kind == trace::ReferenceKind::discard) {
    take_away(event.process, event.page, event.pages);
  } else if (event.kind == trace::ReferenceKind::exit) {
    numbering_.for_each_of(event.process, [&](mm::PageId page, std::uint64_t) { push(page, PageEvent::gone); });
  }
  return {};
}

void ReferencePages::take_away(std::uint32_t process, std::uint64_t page, std::uint64_t pages) {
  // Whichever is shorter: the range (a terabyte may be reserved and unmapped untouched) or the table.
  if (pages > numbering_.pages()) {
    numbering_.for_each_of(process, [&](mm::PageId number, std::uint64_t at) {
      if (at - page < pages) push(number, PageEvent::gone);
    });
    return;
  }
  for (std::uint64_t at = page; at < page + pages; ++at) {
    if (const auto number = numbering_.find(at, process)) push(*number, PageEvent::gone);
  }
}

Result<void> ReferencePages::rewind() {
  references_ = 0;
  return source_->rewind();
}

KeyPages::KeyPages(std::span<const std::uint64_t> keys, PageSample sample)
    : PageStream(sample), keys_(keys), pages_(kBatch), events_(kBatch, PageEvent::read), hashes_(kBatch), sampled_(kBatch) {}

Result<PageBatch> KeyPages::next() {
  std::span<const std::uint64_t> batch;
  do {
    batch = keys_.subspan(references_, std::min<std::size_t>(kBatch, keys_.size() - references_));
    references_ += batch.size();
    if (sample_.all()) break;
    // Without branches: about one in a hundred is taken, and which one cannot be guessed.
    std::size_t taken = 0;
    for (const std::uint64_t key : batch) {
      sampled_[taken] = key;
      taken += sample_hash(key, 0, sample_.salt) < sample_.below;
    }
    batch = std::span<const std::uint64_t>(sampled_.data(), taken);
  } while (batch.empty() && references_ < keys_.size());
  for (std::size_t i = 0; i < batch.size(); ++i) hashes_[i] = page_hash(batch[i], 0);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (i + kAhead < batch.size()) numbering_.prefetch(hashes_[i + kAhead]);
    pages_[i] = number(batch[i], 0, hashes_[i]);
    if (pages_[i] == mm::kNoPage) return fail(table_full());
  }
  return PageBatch{std::span<const mm::PageId>(pages_).first(batch.size()), std::span<const PageEvent>(events_).first(batch.size())};
}

}  // namespace faultline::analyze
