#include "analyze/ledger/ledger_builder.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/assert.h"
#include "heap/accounting.h"

namespace faultline::analyze {
namespace {

using heap::Address;
using heap::Part;
using replay::LookMapping;
using replay::MemoryLook;
using replay::PageRun;
using replay::PageUse;

// Calls visit(from, to, run) for the parts of resident runs within [start, end).
template <typename Visit>
void for_each_run(const MemoryLook& look, std::uint64_t start, std::uint64_t end, Visit visit) {
  auto at = std::partition_point(look.runs.begin(), look.runs.end(), [&](const PageRun& run) { return run.end <= start; });
  for (; at != look.runs.end() && at->start < end; ++at) visit(std::max(start, at->start), std::min(end, at->end), *at);
}

class Builder {
 public:
  Builder(const MemoryLook& look, heap::HeapImage* image, const AddressMap& areas) : look_(look), image_(image), areas_(areas) {}

  BuiltLedger build() {
    Ledger& ledger = out_.ledger;
    ledger.there = look_.there;
    ledger.page_tables_bytes = look_.page_table_bytes;
    ledger.mapped_bytes = look_.mapped_bytes;
    ledger.mappings = look_.mappings.size();
    if (image_ != nullptr) add_heap();
    add_rest();
    for (const PageRun& run : look_.runs) {
      if (run.huge) ledger.huge_bytes += run.bytes();
      if (run.shared) ledger.fork_shared_bytes += run.bytes();
    }
    FL_ASSERT(ledger.sum_bytes() == look_.resident_bytes());
    for (auto& [path, file] : files_) {
      file.path = path;
      ledger.files.push_back(std::move(file));
    }
    std::stable_sort(ledger.files.begin(), ledger.files.end(), [](const LedgerFile& x, const LedgerFile& y) { return x.bytes() > y.bytes(); });
    for (const auto& [owner, row] : owners_) out_.owners.push_back(row);
    return std::move(out_);
  }

 private:
  struct Claim {  // malloc's pages
    Address start = 0, end = 0;
  };
  const MemoryLook& look_;
  heap::HeapImage* image_;
  const AddressMap& areas_;
  BuiltLedger out_;
  std::vector<Claim> claims_;  // by address, disjoint
  std::map<std::string, LedgerFile> files_;
  std::unordered_map<heap::OwnerId, LedgerOwner> owners_;

  std::uint64_t& part(LedgerPart which) { return out_.ledger[which]; }

  // --- malloc's memory, chunk by chunk ---
  void add_heap() {
    for (heap::ImagePiece& piece : image_->pieces) see_piece(piece);
    for (heap::ImageMapping& mapping : image_->mappings) see_mapping(mapping);
    const heap::Accounting account = heap::account(*image_);
    const heap::ArenaAccount& total = account.total;
    const auto resident = [&](Part of) { return total[of].resident; };
    part(LedgerPart::heap_live) = resident(Part::live);
    part(LedgerPart::heap_rounding) = resident(Part::rounding);
    part(LedgerPart::heap_tcache) = resident(Part::tcache);
    part(LedgerPart::heap_fastbins) = resident(Part::fastbins);
    part(LedgerPart::heap_free) = resident(Part::trimmable);
    part(LedgerPart::heap_pinned) = resident(Part::pinned);
    part(LedgerPart::heap_own) = resident(Part::own);
    const heap::ArenaAccount& main = account.arenas.front();
    const std::uint64_t main_top = main[Part::top_trimmable].resident + main[Part::top_kept].resident;
    part(LedgerPart::heap_top) = main_top;
    part(LedgerPart::arena_slack) = resident(Part::top_trimmable) + resident(Part::top_kept) - main_top;
    part(LedgerPart::mmapped_live) = account.mapped.live.resident;
    part(LedgerPart::mmapped_rounding) = account.mapped.rounding.resident;
    take_huge_slack();
    Ledger& ledger = out_.ledger;
    ledger.live_untouched_bytes = total[Part::live].bytes - resident(Part::live) + account.mapped.live.bytes - account.mapped.live.resident;
    ledger.live_blocks = total.live_blocks + account.mapped.blocks;
    std::uint64_t claimed = 0;
    merge_claims();
    for (const Claim& claim : claims_) for_each_run(look_, claim.start, claim.end, [&](Address from, Address to, const PageRun&) { claimed += to - from; });
    const std::uint64_t divided = ledger.sum_bytes();
    FL_ASSERT(divided <= claimed);
    part(LedgerPart::heap_other) = claimed - divided;  // page ends beside pieces
  }

  void see_piece(heap::ImagePiece& piece) {
    const Address first = page_floor(piece.start);
    std::fill(piece.resident.begin(), piece.resident.end(), false);
    for_each_run(look_, first, page_ceil(piece.end), [&](Address from, Address to, const PageRun&) {
      for (Address page = from; page < to; page += kPageSize) piece.resident[(page - first) >> kPageShift] = true;
    });
    claims_.push_back({first, page_ceil(piece.end)});
    Address at = piece.first;
    for (const heap::ImageChunk& chunk : piece.chunks) {
      if (chunk.use == heap::ChunkUse::live) add_owner(chunk.owner, chunk.requested, live_resident(piece, at, chunk));
      at += chunk.size;
    }
  }

  // As heap::account() has it: a block's last word may lie in the chunk above, and counts at its header then.
  static std::uint64_t live_resident(const heap::ImagePiece& piece, Address at, const heap::ImageChunk& chunk) {
    const Address user = heap::user_of(at), end = at + chunk.size;
    const std::uint64_t above = user + chunk.requested > end ? user + chunk.requested - end : 0;
    return piece.resident_bytes(user, user + chunk.requested - above) + (piece.resident_at(at) ? above : 0);
  }

  void see_mapping(heap::ImageMapping& mapping) {
    const Address end = mapping.start + mapping.length, asked_end = mapping.user + mapping.requested;
    mapping.resident = mapping.requested_resident = 0;
    for_each_run(look_, mapping.start, end, [&](Address from, Address to, const PageRun&) {
      mapping.resident += to - from;
      const Address low = std::max(from, mapping.user), high = std::min(to, asked_end);
      if (high > low) mapping.requested_resident += high - low;
    });
    claims_.push_back({mapping.start, end});
    add_owner(mapping.owner, mapping.requested, mapping.requested_resident);
  }

  void add_owner(heap::OwnerId owner, std::uint64_t asked, std::uint64_t resident) {
    LedgerOwner& row = owners_[owner];
    row.owner = owner;
    ++row.blocks;
    row.resident_bytes += resident;
    row.untouched_bytes += asked - resident;
  }

  // What only a huge page made resident, as far as it is certain: no block is there.
  void take_huge_slack() {
    const auto huge = [&](Address start, Address end) {
      std::uint64_t bytes = 0;
      for_each_run(look_, start, end, [&](Address from, Address to, const PageRun& run) { bytes += run.huge ? to - from : 0; });
      return bytes;
    };
    for (const heap::ImagePiece& piece : image_->pieces) {
      if (!piece.holds_top()) continue;
      const std::uint64_t bytes = huge(page_ceil(piece.top()), page_floor(piece.end));
      part(piece.arena == heap::kMainArena ? LedgerPart::heap_top : LedgerPart::arena_slack) -= bytes;
      part(LedgerPart::thp_slack) += bytes;
    }
    for (const heap::ImageMapping& mapping : image_->mappings) {
      const std::uint64_t bytes = huge(page_ceil(mapping.user + mapping.requested), mapping.start + mapping.length);
      part(LedgerPart::mmapped_rounding) -= bytes;
      part(LedgerPart::thp_slack) += bytes;
    }
  }

  void merge_claims() {
    std::sort(claims_.begin(), claims_.end(), [](const Claim& x, const Claim& y) { return x.start < y.start; });
    std::vector<Claim> merged;
    for (const Claim& claim : claims_) {
      if (!merged.empty() && claim.start <= merged.back().end) merged.back().end = std::max(merged.back().end, claim.end);
      else merged.push_back(claim);
    }
    claims_ = std::move(merged);
  }

  // --- everything else, page by page ---
  void add_rest() {
    auto mapping = look_.mappings.begin();
    auto claim = claims_.begin();
    for (const PageRun& run : look_.runs) {
      while (mapping->end <= run.start) ++mapping;
      for (Address page = run.start; page < run.end; page += kPageSize) {
        while (claim != claims_.end() && claim->end <= page) ++claim;
        if (claim != claims_.end() && claim->start <= page) continue;
        add_page(page, run, *mapping);
      }
    }
  }

  void add_page(Address page, const PageRun& run, const LookMapping& mapping) {
    const Region region = areas_.region(page);
    if (region == Region::recorder) {
      part(LedgerPart::recorder) += kPageSize;
    } else if (mapping.name.starts_with("[v")) {
      part(LedgerPart::kernel) += kPageSize;
    } else if (mapping.file || run.use != PageUse::anonymous) {
      add_file_page(run.use, mapping.name);
    } else {
      part(anonymous_part(page, mapping, region)) += kPageSize;
    }
  }

  void add_file_page(PageUse use, const std::string& name) {
    LedgerFile& file = files_[name.empty() ? "[anonymous]" : name];
    const auto add = [&](LedgerPart which, std::uint64_t& bytes) {
      part(which) += kPageSize;
      bytes += kPageSize;
    };
    switch (use) {
      case PageUse::anonymous: return add(LedgerPart::file_private, file.private_bytes);
      case PageUse::file_clean: return add(LedgerPart::file_clean, file.clean_bytes);
      case PageUse::file_dirty: return add(LedgerPart::file_dirty, file.dirty_bytes);
      case PageUse::shmem: return add(LedgerPart::shared_memory, file.shared_memory_bytes);
    }
  }

  LedgerPart anonymous_part(Address page, const LookMapping& mapping, Region region) const {
    if (mapping.grows_down) return LedgerPart::stack_main;
    if (page >= look_.start_of_break && page < look_.program_break) return image_ != nullptr ? LedgerPart::heap_other : LedgerPart::heap_undivided;
    switch (region) {
      case Region::heap_free: return image_ != nullptr ? LedgerPart::arena_slack : LedgerPart::heap_undivided;
      case Region::thread_stack: return LedgerPart::stack_threads;
      case Region::module: return LedgerPart::bss;
      default: return LedgerPart::anonymous;
    }
  }
};

}  // namespace

BuiltLedger build_ledger(const replay::MemoryLook& look, heap::HeapImage* image, const AddressMap& areas) { return Builder(look, image, areas).build(); }

}  // namespace faultline::analyze
