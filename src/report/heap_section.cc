#include "report/heap_section.h"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/format.h"
#include "base/units.h"
#include "report/site_text.h"

namespace faultline::report {
namespace {

using analyze::format_bytes;
using analyze::format_count;
using analyze::HeapMomentState;
using heap::Part;

const char* title(Part part) {
  switch (part) {
    case Part::live: return "live: what the program asked for";
    case Part::rounding: return "their headers and rounding";
    case Part::tcache: return "free, kept by the threads' caches";
    case Part::fastbins: return "free, in fastbins";
    case Part::trimmable: return "free, whole pages: malloc_trim(0) returns them";
    case Part::pinned: return "free, but in pages that live or cached blocks share";
    case Part::top_trimmable: return "top: malloc_trim(0) returns it";
    case Part::top_kept: return "top: kept";
    case Part::own: return "malloc's own";
    case Part::foreign: return "somebody else's sbrk in between";
  }
  return "";
}

std::string blocks_text(std::uint64_t blocks) { return fmt::format("{} block{}", format_count(blocks), blocks == 1 ? "" : "s"); }

void print_parts(const Report& report, Page& page) {
  std::vector<std::string> titles;
  for (const HeapMomentState& moment : report.heap.moments) {
    titles.push_back("at " + moment.when);
    titles.push_back("resident");
  }
  titles.push_back("part");
  Table table(titles);
  const auto row = [&](const auto& bytes_of, std::string what, bool always) {
    std::vector<std::string> cells;
    bool any = always;
    for (const HeapMomentState& moment : report.heap.moments) {
      const heap::Bytes bytes = bytes_of(moment.accounting);
      any = any || bytes.bytes > 0;
      cells.push_back(format_bytes(bytes.bytes));
      cells.push_back(format_bytes(bytes.resident));
    }
    cells.push_back(std::move(what));
    if (any) table.row(std::move(cells));
  };
  for (std::size_t i = 0; i < heap::kParts; ++i) {
    row([i](const heap::Accounting& of) { return of.total.parts[i]; }, title(static_cast<Part>(i)), false);
  }
  const std::size_t arenas = report.heap.end()->accounting.arenas.size();
  row([](const heap::Accounting& of) { return of.total.sum(); }, arenas == 1 ? "together: the main arena" : fmt::format("together: {} arenas", arenas), true);
  row([](const heap::Accounting& of) { return heap::Bytes{of.mapped.live.bytes + of.mapped.rounding.bytes, of.mapped.live.resident + of.mapped.rounding.resident}; },
      "beside them: blocks with their own mapping", false);
  table.print(page);
}

void print_end_pin(const analyze::SiteEndPin& end, bool first, Page& page) {
  const heap::EndPin& pin = end.pin;
  std::string text = fmt::format("{} free ({} resident) below ", format_bytes(pin.held.bytes), format_bytes(pin.held.resident));
  if (pin.all.blocks > 0) {
    text += fmt::format("{} in {}, the highest {} at {:#x}, by ", format_bytes(pin.all.bytes), blocks_text(pin.all.blocks), format_bytes(pin.highest_bytes), pin.highest);
    for (std::size_t i = 0; i < end.sites.size() && i < 3; ++i) text += (i > 0 ? ", " : "") + site_text(end.sites[i].name);
    if (end.sites.size() > 3) text += ", and others";
    if (pin.cached_bytes > 0) text += fmt::format(", and {} in caches", format_bytes(pin.cached_bytes));
  } else {
    text += fmt::format("{} of freed blocks that caches keep, and no live one", format_bytes(pin.cached_bytes));
  }
  text += fmt::format("; without {} the {} would end {} lower", first ? "them" : "them and those above",
                      pin.arena == heap::kMainArena ? "heap" : fmt::format("heap of arena {}", pin.arena), format_bytes(pin.fall_bytes));
  page.paragraph(text, 2, 2);
}

void print_pins(const HeapMomentState& moment, Page& page) {
  std::uint32_t arena = ~std::uint32_t{0};
  std::size_t shown = 0;
  for (const analyze::SiteEndPin& end : moment.ends) {
    if (shown++ == 6) break;
    print_end_pin(end, end.pin.arena != arena, page);
    arena = end.pin.arena;
  }
  if (moment.accounting.total[Part::pinned].bytes < kPageSize) return;
  Table table({"held", "resident", "blocks", "their bytes", "would return", "live blocks that share pages with free memory, by site"});
  for (const analyze::SitePagePin& page_pin : moment.pages) {
    const heap::PagePin& pin = page_pin.pin;
    const bool nobody = pin.blocks.owner == heap::kNoOwner;
    table.row({format_bytes(pin.held.bytes), format_bytes(pin.held.resident), nobody ? "-" : format_count(pin.blocks.blocks), nobody ? "-" : format_bytes(pin.blocks.bytes),
               nobody || !pin.weighed ? "-" : format_bytes(pin.gain_bytes), nobody ? "no live block: malloc's own and its caches" : site_text(page_pin.name)});
  }
  table.print(page);
  page.dim("would return: by malloc_trim(0), if all blocks of the site were freed", 2);
}

}  // namespace

void print_heap(const Report& report, Page& page) {
  page.heading("What the heap holds, and who holds it");
  const analyze::HeapMoments& heap = report.heap;
  print_parts(report, page);
  const HeapMomentState& end = *heap.end();
  const heap::ArenaAccount& total = end.accounting.total;
  page.paragraph(fmt::format("malloc replayed in the twin: {} of {} results as recorded. At the end malloc_trim(0) would return {} ({} resident); "
                             "thresholds: trim {}, top pad {}, mmap {}.",
                             format_count(heap.addresses_matched), format_count(heap.addresses_total),
                             format_bytes(total.trim_pages.bytes + static_cast<std::uint64_t>(std::max<std::int64_t>(0, total.trim_break_drop))),
                             format_bytes(total.trim_pages.resident + total.trim_break_resident), format_bytes(heap.trim_threshold),
                             format_bytes(heap.top_pad), format_bytes(heap.mmap_threshold)),
                 2, 2);
  print_pins(end, page);
}

}  // namespace faultline::report
