#include "mm/backing/read_ahead.h"

#include <algorithm>
#include <bit>

namespace faultline::mm {

namespace {

constexpr std::uint32_t kLotsOfMisses = 100;       // MMAP_LOTSAMISS
constexpr std::uint64_t kForcedChunkPages = 512;   // force_page_cache_ra() reads 2 MiB at a time
constexpr std::uint8_t kHugeOrder = 9;

// get_init_ra_size()
std::uint64_t initial_size(std::uint64_t request, std::uint64_t max) {
  const std::uint64_t size = std::bit_ceil(request);
  if (size <= max / 32) return size * 4;
  if (size <= max / 4) return size * 2;
  return max;
}

constexpr std::uint64_t kNodePages = 64;  // slots of a node of the page cache's tree (XA_CHUNK_SIZE)
constexpr std::uint8_t kNodeOrder = 6;   // a folio of that order is one slot of a node above

// Where a walk of the page cache's tree begins that is sent to a page inside a folio: at the folio's first slot, though it counts
// from the page (xas_load(), lib/xarray.c). From there on what is looked at lags behind what is counted, as far as the node goes.
std::uint64_t first_slot(const FileObject& file, std::uint64_t index) {
  if (!file.cached(index)) return index;
  const Folio folio = file.folio(index);
  return folio.order < kNodeOrder ? folio.first : index;
}
bool in_upper_node(const FileObject& file, std::uint64_t index) { return file.cached(index) && file.folio(index).order >= kNodeOrder; }

// page_cache_next_miss(): the first page from `index` on that is not cached, among `most`; behind them if all are.
std::uint64_t next_miss(const FileObject& file, std::uint64_t index, std::uint64_t most) {
  std::uint64_t slot = first_slot(file, index);
  for (std::uint64_t at = index; at < index + most;) {
    if (!file.cached(slot)) return at;
    ++at;
    slot = slot % kNodePages == kNodePages - 1 || in_upper_node(file, slot) ? at : slot + 1;
  }
  return index + most;
}

// page_cache_prev_miss(): how many pages up to `index` are cached, of `most`.
std::uint64_t cached_before(const FileObject& file, std::uint64_t index, std::uint64_t most) {
  std::uint64_t slot = first_slot(file, index);
  for (std::uint64_t count = 0; count < most; ++count) {
    if (!file.cached(slot)) return count;
    if (count == index) return index + 1;
    const std::uint64_t next = index - count - 1;
    if (slot == 0) return count + 1;  // the tree's beginning
    if (in_upper_node(file, slot)) {
      slot = next;
    } else if (slot % kNodePages == 0) {  // the place in the node before is that of the page that is counted
      slot = slot - kNodePages + next % kNodePages;
    } else {
      --slot;
    }
  }
  return most;
}

std::uint8_t floor_log2(std::uint64_t n) { return static_cast<std::uint8_t>(std::bit_width(n) - 1); }

}  // namespace

std::uint64_t ReadAhead::max_pages(std::uint64_t request) const {
  const std::uint64_t window = limits_.window_pages;
  if (request > window && limits_.request_pages > window) return std::min<std::uint64_t>(request, limits_.request_pages);
  return window;
}

std::uint64_t ReadAhead::next_size(std::uint64_t max) const {
  if (size_ < max / 16) return 4 * size_;
  if (size_ <= max / 2) return 2 * size_;
  return max;
}

// do_sync_mmap_readahead()
bool ReadAhead::miss(FileObject& file, std::uint64_t index, const ReadPattern& pattern) {
  if (pattern.huge) {
    start_ = index >> kHugeOrder << kHugeOrder;
    async_size_ = std::uint64_t{1} << kHugeOrder;
    size_ = pattern.random ? async_size_ : 2 * async_size_;
    order_ = kHugeOrder;
    read_ordered(file, start_);
    return true;
  }
  if (pattern.random && !pattern.executable) return false;
  if (limits_.window_pages == 0) return false;
  if (pattern.sequential) {
    sync(file, index, limits_.window_pages);
    return true;
  }
  if (mmap_miss_ < kLotsOfMisses * 10) ++mmap_miss_;
  if (mmap_miss_ > kLotsOfMisses) return false;
  order_ = 0;
  if (pattern.executable) {
    // Code is read from here to the end of the window and never beyond the mapping, without a marker.
    start_ = std::max(index, pattern.first);
    size_ = std::min(start_ + limits_.window_pages, pattern.end) - start_;
    async_size_ = 0;
  } else {
    const std::uint64_t half = limits_.window_pages / 2;
    start_ = index > half ? index - half : 0;
    size_ = limits_.window_pages;
    async_size_ = limits_.window_pages / 4;
  }
  read_ordered(file, start_);
  return true;
}

// do_async_mmap_readahead()
bool ReadAhead::hit(FileObject& file, std::uint64_t index, const ReadPattern& pattern) {
  if (pattern.random || limits_.window_pages == 0) return false;
  if (mmap_miss_ > 0) --mmap_miss_;
  if (!file.folio(index).marker) return false;
  async(file, index, limits_.window_pages);
  return true;
}

// filemap_get_pages()
void ReadAhead::read(FileObject& file, std::uint64_t index, std::uint64_t pages) {
  if (limits_.window_pages != 0) {
    if (!file.cached(index)) {
      sync(file, index, pages);
    } else if (const Folio met = file.folio(index); met.marker) {
      async(file, met.first, index + pages - met.first);  // filemap_readahead() asks from the folio on, a fault from its page
    }
  }
}

// page_cache_sync_ra(). A fault never moves the position of the last read(2). A miss right behind it is sequential.
void ReadAhead::sync(FileObject& file, std::uint64_t index, std::uint64_t request) {
  const std::uint64_t max = max_pages(request);
  if (index == 0 || request > max || index - previous_ <= 1) {
    start_ = index;
    size_ = initial_size(request, max);
    async_size_ = size_ > request ? size_ - request : size_ / 2;
  } else {
    std::uint64_t contiguous = cached_before(file, index - 1, max);
    if (contiguous <= request) {
      read_pages(file, index, request, 0);
      return;
    }
    if (contiguous == index) contiguous *= 2;  // cached from the beginning
    start_ = index;
    size_ = std::min(contiguous + request, max);
    async_size_ = 1;
  }
  order_ = 0;
  read_ordered(file, start_);
}

// page_cache_async_ra()
void ReadAhead::async(FileObject& file, std::uint64_t index, std::uint64_t request) {
  const Folio met = file.folio(index);
  file.set_marker(index, false);
  const std::uint64_t max = max_pages(request);
  const std::uint64_t expected = (start_ + size_ - async_size_) / met.pages() * met.pages();
  if (index == expected) {
    start_ += size_;
    size_ = std::max(size_, next_size(max));
  } else {
    // A marker of someone else's window: go on behind what is cached.
    const std::uint64_t next = next_miss(file, index + 1, max);
    if (next - index > max) return;
    start_ = next;
    size_ = next - index + request;
    size_ = next_size(max);
  }
  order_ = static_cast<std::uint8_t>(order_ + 2);
  const std::uint64_t align = std::uint64_t{1} << std::min<unsigned>(order_, static_cast<unsigned>(std::countr_zero(max)));
  const std::uint64_t end = start_ + size_;
  const std::uint64_t aligned_end = end / align * align;
  if (aligned_end > start_) size_ -= end - aligned_end;
  async_size_ = size_;
  read_ordered(file, start_);
}

void ReadAhead::will_need(FileObject& file, std::uint64_t index, std::uint64_t pages) {
  std::uint64_t left = std::min<std::uint64_t>(pages, std::max(limits_.request_pages, limits_.window_pages));
  for (; left > 0;) {
    const std::uint64_t chunk = std::min(left, kForcedChunkPages);
    read_pages(file, index, chunk, 0);
    index += chunk;
    left -= chunk;
  }
}

// page_cache_ra_order(): the window in folios of the wished order, smaller ones where alignment or the file's end ask.
void ReadAhead::read_ordered(FileObject& file, std::uint64_t index) {
  const std::uint64_t start = index;
  if (file.size() == 0) return;
  bool complete = file.max_order() > 0;
  if (!complete) {
    order_ = 0;
  } else {
    const std::uint64_t mark = index + size_ - async_size_;
    const std::uint64_t limit = std::min(file.pages() - 1, index + size_ - 1);
    order_ = std::min({order_, file.max_order(), floor_log2(size_)});
    while (index <= limit) {
      std::uint8_t order = order_;
      if (index != 0) order = std::min(order, static_cast<std::uint8_t>(std::countr_zero(index)));
      while (order > 0 && index + (std::uint64_t{1} << order) - 1 > limit) --order;
      const bool marked = index == mark >> order << order;
      if (!file.add(index, order, marked)) {
        complete = false;
        break;
      }
      index += std::uint64_t{1} << order;
    }
  }
  // Something was cached already: the plain way for the rest.
  if (!complete && size_ > index - start) read_pages(file, index, size_ - (index - start), async_size_);
}

// page_cache_ra_unbounded(): single pages, around what is cached, with a marker where `lookahead` pages are left.
void ReadAhead::read_pages(FileObject& file, std::uint64_t index, std::uint64_t pages, std::uint64_t lookahead) {
  if (file.size() == 0) return;
  const std::uint64_t last = file.pages() - 1;
  if (index > last) return;
  if (pages > last - index) pages = last - index + 1;
  const std::uint64_t mark = lookahead <= pages ? index + pages - lookahead : ~std::uint64_t{0};
  for (std::uint64_t at = index; at < index + pages; ++at) {
    if (!file.cached(at) && !file.add(at, 0, at == mark)) return;  // no frame left
  }
}

}  // namespace faultline::mm
