// Arena: finding a block. Order: fastbin, exact small bin, unsorted scan, own large bin, larger bins, top, system.
#pragma once

#include "heap/arena.h"

namespace faultline::heap {

template <MemoryProvider Memory>
Address Arena<Memory>::perturbed(Address user, std::uint64_t request) {
  if (settings_.perturb != 0 && user != 0) [[unlikely]] fill(memory_, user, request, settings_.perturb ^ 0xff);
  return user;
}

// The head, and the rest of the list moves to the cache while it has room: that reverses its order.
template <MemoryProvider Memory>
Address Arena<Memory>::take_fastbin(Tcache* tcache, std::uint64_t nb) {
  const unsigned bin = Fastbins<Memory>::index(nb);
  const Address victim = fastbins_.pop(bin);
  if (victim == 0) return 0;
  FL_ASSERT(headers_.size(victim) == nb);
  const std::uint64_t slot = Tcache::index(nb);
  if (tcache != nullptr && slot < settings_.tcache_bins) {
    while (tcache->count(slot) < settings_.tcache_count && fastbins_.head(bin) != 0) {
      tcache->put(memory_, user_of(fastbins_.pop(bin)), slot);
    }
    if (fastbins_.head(bin) != 0) Tcache::note_full<Memory>(settings_);
  } else {
    Tcache::note_no_list<Memory>(settings_, slot);
  }
  return user_of(victim);
}

// The oldest, and the next oldest ones move to the cache.
template <MemoryProvider Memory>
Address Arena<Memory>::take_small_bin(Tcache* tcache, std::uint64_t nb) {
  const unsigned bin = bin_index(nb);
  if (bins_.empty(bin)) return 0;
  const Address victim = bins_.last(bin);
  headers_.set_in_use(victim, nb);
  mark_non_main(victim);
  bins_.drop_last(bin);
  const std::uint64_t slot = Tcache::index(nb);
  if (tcache != nullptr && slot < settings_.tcache_bins) {
    while (tcache->count(slot) < settings_.tcache_count && !bins_.empty(bin)) {
      const Address next = bins_.last(bin);
      headers_.set_in_use(next, nb);
      mark_non_main(next);
      bins_.drop_last(bin);
      tcache->put(memory_, user_of(next), slot);
    }
    if (!bins_.empty(bin)) Tcache::note_full<Memory>(settings_);
  } else {
    Tcache::note_no_list<Memory>(settings_, slot);
  }
  return user_of(victim);
}

// A run of small requests is carved from one remainder, so that they lie side by side.
template <MemoryProvider Memory>
Address Arena<Memory>::split_last_remainder(Address victim, std::uint64_t size, std::uint64_t nb) {
  bins_.drop_last(kUnsortedBin);
  const Address remainder = victim + nb;
  const std::uint64_t rest = size - nb;
  bins_.push_unsorted(remainder, rest);
  last_remainder_ = remainder;
  headers_.set_head(victim, nb | kPrevInUse | flag_);
  headers_.set_head(remainder, rest | kPrevInUse);
  headers_.set_foot(remainder, rest);
  return user_of(victim);
}

// Sorts the unsorted chunks, oldest first, until one fits exactly. With room in the cache exact fits are collected
// there and one of them is taken at the end.
template <MemoryProvider Memory>
typename Arena<Memory>::Scan Arena<Memory>::scan_unsorted(Tcache* tcache, std::uint64_t nb, std::uint64_t& filed) {
  const std::uint64_t slot = Tcache::index(nb);
  const bool cacheable = tcache != nullptr && slot < settings_.tcache_bins;
  bool cached = false;
  for (unsigned iterations = 0; !bins_.empty(kUnsortedBin);) {
    const Address victim = bins_.last(kUnsortedBin);
    const std::uint64_t size = headers_.size(victim);
    check_placed(victim, size);
    FL_ASSERT(!headers_.prev_in_use(victim + size) && headers_.prev_size(victim + size) == size);
    if (is_small(nb) && bins_.first(kUnsortedBin) == victim && victim == last_remainder_ && size > nb + kMinChunk) {
      return {split_last_remainder(victim, size, nb), true};
    }
    bins_.drop_last(kUnsortedBin);
    if (size == nb) {
      headers_.set_in_use(victim, size);
      mark_non_main(victim);
      if (!cacheable || tcache->count(slot) >= settings_.tcache_count) {
        if (cacheable) Tcache::note_full<Memory>(settings_);
        else Tcache::note_no_list<Memory>(settings_, slot);
        return {user_of(victim), true};
      }
      tcache->put(memory_, user_of(victim), slot);
      cached = true;
      continue;
    }
    bins_.file(victim, size);
    ++filed;
    if (cached && settings_.tcache_unsorted_limit > 0 && filed > settings_.tcache_unsorted_limit) break;
    if (++iterations >= kScanLimit) break;
  }
  if (cached) return {tcache->get(memory_, slot), false};
  return {};
}

// Takes the low end of a binned chunk; what is left goes to the head of the unsorted list.
template <MemoryProvider Memory>
Address Arena<Memory>::take_from_bin(Address victim, std::uint64_t nb, bool remember_remainder) {
  const std::uint64_t size = headers_.size(victim);
  FL_ASSERT(size >= nb);
  const std::uint64_t rest = size - nb;
  bins_.unlink(victim);
  if (rest < kMinChunk) {
    headers_.set_in_use(victim, size);
    mark_non_main(victim);
    return user_of(victim);
  }
  const Address remainder = victim + nb;
  bins_.push_unsorted(remainder, rest);
  if (remember_remainder) last_remainder_ = remainder;
  headers_.set_head(victim, nb | kPrevInUse | flag_);
  headers_.set_head(remainder, rest | kPrevInUse);
  headers_.set_foot(remainder, rest);
  return user_of(victim);
}

template <MemoryProvider Memory>
Address Arena<Memory>::carve_top(std::uint64_t nb) {
  const Address chunk = top_;
  const std::uint64_t size = top_size();
  if (size < nb + kMinChunk) return 0;
  top_ = chunk + nb;
  headers_.set_head(chunk, nb | kPrevInUse | flag_);
  headers_.set_head(top_, (size - nb) | kPrevInUse);
  return user_of(chunk);
}

template <MemoryProvider Memory>
Address Arena<Memory>::allocate(Tcache* tcache, std::uint64_t request) {
  const std::uint64_t nb = chunk_size_for(request);
  if (nb == 0) return 0;
  if (nb <= settings_.max_fast) {
    if (const Address user = take_fastbin(tcache, nb)) return perturbed(user, request);
  }
  if (is_small(nb)) {
    if (const Address user = take_small_bin(tcache, nb)) return perturbed(user, request);
  } else if (fastbins_.maybe_nonempty) {
    consolidate();
  }
  const unsigned own_bin = bin_index(nb);
  std::uint64_t filed = 0;  // over all rounds
  while (true) {
    if (!bins_.empty(kUnsortedBin)) {
      const Scan scan = scan_unsorted(tcache, nb, filed);
      if (scan.found != 0) return scan.perturb ? perturbed(scan.found, request) : scan.found;
    }
    if (!is_small(nb)) {
      if (const Address fit = bins_.best_fit(own_bin, nb)) return perturbed(take_from_bin(fit, nb, false), request);
    }
    if (const Address larger = bins_.smallest_from(own_bin + 1)) {
      return perturbed(take_from_bin(larger, nb, is_small(nb)), request);
    }
    if (const Address user = carve_top(nb)) return perturbed(user, request);
    if (!fastbins_.maybe_nonempty) return perturbed(grow(tcache, nb), request);
    consolidate();
  }
}

}  // namespace faultline::heap
