#include "mm/paging/page_walk.h"

#include <fmt/format.h>

namespace faultline::mm {

PageWalk walk(const PageTable& table, VirtAddr address) {
  PageWalk result;
  Pfn at = table.root();
  for (int level = kLevels; level >= 1; --level) {
    WalkStep& step = result.steps[static_cast<std::size_t>(result.length++)];
    step.level = level;
    step.table = at;
    step.index = table_index(address.value, level);
    step.entry = table.frames().at(at).table->entries[step.index];
    if (!step.entry.present()) return result;
    at = step.entry.pfn();
  }
  result.translated = true;
  return result;
}

std::string to_string(Pte entry) {
  if (entry.none()) return "none";
  if (entry.guard()) return "guard";
  if (entry.swap()) return fmt::format("swap slot {}", entry.swap_slot().value);
  std::string text = entry.zero_page() ? "zero page" : fmt::format("frame {}", entry.pfn().value);
  text += entry.present() ? " P" : (entry.protection_none() ? " PROT_NONE" : " not present");
  if (entry.writable()) text += " W";
  if ((entry.bits & Pte::kUser) != 0) text += " U";
  if (entry.accessed()) text += " A";
  if (entry.dirty()) text += " D";
  if (entry.no_execute()) text += " NX";
  if (entry.huge()) text += " (part of a huge page)";
  return text;
}

std::string PageWalk::to_string() const {
  static constexpr std::array<const char*, kLevels> names = {"PTE", "PMD", "PUD", "PGD"};
  std::string text;
  for (int i = 0; i < length; ++i) {
    const WalkStep& step = steps[static_cast<std::size_t>(i)];
    if (i > 0) text += " -> ";
    text += fmt::format("{}[{}]", names[static_cast<std::size_t>(step.level - 1)], step.index);
  }
  const WalkStep& last = steps[static_cast<std::size_t>(length - 1)];
  return text + " = " + mm::to_string(last.entry);
}

}  // namespace faultline::mm
