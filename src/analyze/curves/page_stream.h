// PageStream: a reference stream as curves want it: page numbers in batches. A page is (process, page number); calls that take pages
// away (munmap, MADV_DONTNEED, exit) end its contents, and a later reference to it is a first one again. Pages shared between
// processes or mapped from files twice are the twin's business (replay/limits), not a curve's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "analyze/curves/page_numbering.h"
#include "trace/references/reference.h"

namespace faultline::analyze {

enum class PageEvent : std::uint8_t { read, write, gone };

struct PageBatch {
  std::span<const mm::PageId> pages;
  std::span<const PageEvent> events;  // as many
};

// What decides whether a page is in a sample. Not a hash that scatters: within 4096 neighbours (16 MiB) it runs round the circle by the
// golden ratio, so that of any run of pages the sample has its share to within one or two (a Weyl sequence), and each such region starts
// at a place of its own. Neighbours are used alike, and a sample that takes evenly from all regions errs several times less than one
// drawn by lot; where page numbers mean nothing (hashed ids) it is as good as lots. Regions are short because a stride that is a
// Fibonacci number moves slowly round the circle: it must not see much of one region.
constexpr std::uint64_t sample_hash(std::uint64_t page, std::uint32_t process, std::uint64_t salt) {
  return page * 0x9e3779b97f4a7c15 + page_hash(page >> 12, process, salt + 1);
}

// Which pages are looked at: those whose sample hash is below a bound, so all references of a page or none (spatial sampling).
struct PageSample {
  static constexpr std::uint64_t kAll = ~std::uint64_t{0};
  std::uint64_t below = kAll;
  std::uint64_t salt = 0;
  static PageSample at_rate(double rate, std::uint64_t salt = 0) {
    return {rate >= 1 ? kAll : static_cast<std::uint64_t>(rate * 18446744073709551616.0), salt};
  }
  bool all() const { return below == kAll; }
  double rate() const { return all() ? 1.0 : static_cast<double>(below) / 18446744073709551616.0; }
};

class PageStream {
 public:
  explicit PageStream(PageSample sample) : sample_(sample) {}
  virtual ~PageStream() = default;
  // The next events; none at the end. Valid until the next call.
  virtual Result<PageBatch> next() = 0;
  // Back to the beginning; pages keep their numbers.
  virtual Result<void> rewind() = 0;

  // Numbers given so far are below it.
  mm::PageId pages() const { return numbering_.pages(); }
  // References read since the beginning, sampled or not.
  std::uint64_t references() const { return references_; }

  const PageSample& sample() const { return sample_; }
  // From the next batch on only pages whose sample hash is below this.
  void narrow(std::uint64_t below) { sample_.below = below; }
  // What decided that the page is in the sample; only where not all pages are.
  std::uint64_t hash_in_sample(mm::PageId page) const { return sample_hashes_[page]; }

 protected:
  // kNoPage: table_full() is the answer to give.
  mm::PageId number(std::uint64_t page, std::uint32_t process, std::uint64_t hash) {
    const mm::PageId number = numbering_.number(page, process, hash);
    if (!sample_.all() && number == sample_hashes_.size()) sample_hashes_.push_back(sample_hash(page, process, sample_.salt));
    return number;
  }
  Error table_full() const { return make_error("no memory for a table of more than {} different pages", pages()); }

  PageSample sample_;
  PageNumbering numbering_;
  std::uint64_t references_ = 0;

 private:
  std::vector<std::uint64_t> sample_hashes_;
};

// Of a stream with calls.
class ReferencePages final : public PageStream {
 public:
  explicit ReferencePages(trace::ReferenceSource& source, PageSample sample = {});
  Result<PageBatch> next() override;
  Result<void> rewind() override;

 private:
  Result<void> take(const trace::ReferenceEvent& event);
  void take_away(std::uint32_t process, std::uint64_t page, std::uint64_t pages);
  void push(mm::PageId page, PageEvent event) {
    pages_.push_back(page);
    events_.push_back(event);
  }

  trace::ReferenceSource* source_;
  std::vector<trace::ReferenceEvent> buffer_;
  std::vector<mm::PageId> pages_;
  std::vector<PageEvent> events_;
};

// Of page numbers in memory, all read by one process.
class KeyPages final : public PageStream {
 public:
  explicit KeyPages(std::span<const std::uint64_t> keys, PageSample sample = {});
  Result<PageBatch> next() override;
  Result<void> rewind() override {
    references_ = 0;
    return {};
  }

 private:
  std::span<const std::uint64_t> keys_;
  std::vector<mm::PageId> pages_;
  std::vector<PageEvent> events_;
  std::vector<std::uint64_t> hashes_, sampled_;
};

}  // namespace faultline::analyze
