#include "analyze/curves/page_numbering.h"

#include "base/assert.h"

namespace faultline::analyze {

PageNumbering::PageNumbering() {
  const auto made = resize(14);
  FL_ASSERT(made);
}

mm::PageId PageNumbering::add(std::uint64_t page, std::uint32_t process, std::uint64_t hash) {
  if (pages_ == mm::kNoPage - 1) return mm::kNoPage;
  if (pages_ >= slots_.size() / 3 * 2 && !resize(64 - shift_ + 1)) return mm::kNoPage;
  find_slot(page, process, hash) = {page, process, pages_ + 1};
  return pages_++;
}

Result<void> PageNumbering::resize(unsigned bits) {
  HugeArray<Slot> old = std::move(slots_);
  slots_ = {};
  FL_CHECK(slots_.grow(std::size_t{1} << bits));
  shift_ = 64 - bits;
  for (std::size_t at = 0; at < old.size(); ++at) {
    const Slot& slot = old[at];
    if (slot.number != 0) find_slot(slot.page, slot.process, page_hash(slot.page, slot.process)) = slot;
  }
  return {};
}

}  // namespace faultline::analyze
