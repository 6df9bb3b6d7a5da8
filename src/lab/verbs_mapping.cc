// The memory system calls, called by the program itself.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lab/verb.h"

namespace faultline::lab {

namespace {

struct Word {
  std::string_view name;
  std::uint32_t value;
};
constexpr std::array<Word, 12> kMapWords = {{{"shared", mm::kMapShared},
                                             {"private", mm::kMapPrivate},
                                             {"anonymous", mm::kMapAnonymous},
                                             {"fixed", mm::kMapFixed},
                                             {"noreplace", mm::kMapFixedNoReplace},
                                             {"growsdown", mm::kMapGrowsDown},
                                             {"locked", mm::kMapLocked},
                                             {"noreserve", mm::kMapNoReserve},
                                             {"populate", mm::kMapPopulate},
                                             {"stack", mm::kMapStack},
                                             {"32bit", mm::kMap32Bit},
                                             {"droppable", mm::kMapDroppable}}};
struct AdviceWord {
  std::string_view name;
  mm::Madvice value;
};
constexpr std::array<AdviceWord, 24> kAdvices = {{{"normal", mm::Madvice::normal},
                                                  {"random", mm::Madvice::random},
                                                  {"sequential", mm::Madvice::sequential},
                                                  {"willneed", mm::Madvice::will_need},
                                                  {"dontneed", mm::Madvice::dont_need},
                                                  {"free", mm::Madvice::free},
                                                  {"remove", mm::Madvice::remove},
                                                  {"dontfork", mm::Madvice::dont_fork},
                                                  {"dofork", mm::Madvice::do_fork},
                                                  {"mergeable", mm::Madvice::mergeable},
                                                  {"unmergeable", mm::Madvice::unmergeable},
                                                  {"hugepage", mm::Madvice::huge_page},
                                                  {"nohugepage", mm::Madvice::no_huge_page},
                                                  {"dontdump", mm::Madvice::dont_dump},
                                                  {"dodump", mm::Madvice::do_dump},
                                                  {"wipeonfork", mm::Madvice::wipe_on_fork},
                                                  {"keeponfork", mm::Madvice::keep_on_fork},
                                                  {"cold", mm::Madvice::cold},
                                                  {"pageout", mm::Madvice::page_out},
                                                  {"populate_read", mm::Madvice::populate_read},
                                                  {"populate_write", mm::Madvice::populate_write},
                                                  {"dontneed_locked", mm::Madvice::dont_need_locked},
                                                  {"guard_install", mm::Madvice::guard_install},
                                                  {"guard_remove", mm::Madvice::guard_remove}}};

// "rw", "r", "rwx", "none", "r-x".
std::optional<mm::Prot> prot_of(std::string_view word) {
  if (word == "none" || word == "---") return mm::kProtNone;
  mm::Prot prot = 0;
  for (const char c : word) {
    const mm::Prot bit = c == 'r' ? mm::kProtRead : c == 'w' ? mm::kProtWrite : c == 'x' ? mm::kProtExec : 0;
    if ((bit == 0 && c != '-') || (prot & bit) != 0) return std::nullopt;
    prot |= bit;
  }
  return prot != 0 ? std::optional(prot) : std::nullopt;
}

Result<mm::Prot> prot_word(Arguments& arguments) {
  FL_TRY(const std::string word, arguments.word("rights such as r, rw, rx or none"));
  if (const auto prot = prot_of(word)) return *prot;
  return fail(make_error("{}: wanted rights such as r, rw, rx or none, found {}", arguments.verb(), quoted(word)));
}

// No command may keep the machine busy, or the host's memory, with more pages than that.
Result<void> bounded(const Lab& lab, const Arguments& arguments, std::uint64_t bytes) {
  const std::uint64_t most = lab.options().most_pages_at_once * kPageSize;
  if (bytes <= most) return {};
  return fail(make_error("{}: wanted at most {} at once, found {}", arguments.verb(), size_text(most), size_text(bytes)));
}

// How a call reads and what it answered. taken: where something may be gone now.
template <typename Answer>
void report(Lab& lab, LabProcess& process, const std::string& verb, const std::string& arguments, const Answer& answer, const Range& taken) {
  std::string text = fmt::format("{}({})", verb, arguments);
  if (!answer) {
    lab.effects().refuse(answer.error());
    text += fmt::format(" = {}", name_of(answer.error()));
  } else if constexpr (std::is_same_v<Answer, Result<VirtAddr, mm::Errno>>) {
    text += fmt::format(" = {:#x}", answer->value);
  } else {
    text += " = 0";
  }
  lab.effects().call(verb, std::move(text));
  process.review_blocks(taken.start, page_ceil(taken.start + taken.length));
}

void bind_mapping(Lab& lab, LabProcess& process, std::string name, std::uint64_t address, std::uint64_t size) {
  const std::string other = process.bind(name, {Block::Kind::mapping, address, size, false});
  lab.effects().first_note(fmt::format("{} = {:#x}: {} mapped", name, address, size_text(page_ceil(size))));
  if (!other.empty()) lab.effects().note(fmt::format("what was {} is {} now", name, other));
}

Result<void> mmap(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::uint64_t length, arguments.size("a length"));
  mm::MmapArguments wanted;
  wanted.length = ByteCount(length);
  wanted.flags = 0;
  std::string words;
  bool rights = false;
  while (!arguments.done()) {
    FL_TRY(const std::string word, arguments.word("a flag"));
    words += fmt::format(", {}", word);
    const auto flag = std::find_if(kMapWords.begin(), kMapWords.end(), [&](const Word& one) { return one.name == word; });
    if (flag != kMapWords.end()) {
      wanted.flags |= flag->value;
    } else if (word == "at") {
      FL_TRY(const std::uint64_t address, arguments.address());
      wanted.address = VirtAddr(address);
      words += fmt::format(" {:#x}", address);
    } else if (word == "file") {
      FL_TRY(const std::string name, arguments.word("a file"));
      const Result<mm::OpenFile*> file = lab.open_file(name);
      if (!file) return fail(make_error("mmap: {}", file.error().message()));
      wanted.backing = *file;
      words += fmt::format(" {}", name);
    } else if (word == "offset") {
      FL_TRY(wanted.file_offset, arguments.size("an offset"));
      words += fmt::format(" {}", size_text(wanted.file_offset));
    } else if (const auto prot = prot_of(word); prot && !rights) {
      wanted.prot = *prot;
      rights = true;
    } else {
      std::string all;
      for (const Word& one : kMapWords) all += fmt::format("{}, ", one.name);
      return fail(make_error("mmap: wanted rights such as rw, or one of {}at ADDRESS, file NAME, offset SIZE; found {}", all, quoted(word)));
    }
  }
  if ((wanted.flags & (mm::kMapShared | mm::kMapPrivate | mm::kMapDroppable)) == 0) wanted.flags |= mm::kMapPrivate;
  if (wanted.backing == nullptr) wanted.flags |= mm::kMapAnonymous;
  FL_TRY(LabProcess* const process, lab.current());
  const bool fills = (wanted.flags & (mm::kMapPopulate | mm::kMapLocked)) != 0;
  if (fills) FL_CHECK(bounded(lab, arguments, length));
  const auto placed = process->process().run([&](mm::AddressSpace& space) { return space.mmap(wanted); });
  const bool fixed = placed && (wanted.flags & mm::kMapFixed) != 0;
  report(lab, *process, "mmap", size_text(length) + words, placed, fixed ? Range{placed->value, length} : Range{});
  if (placed) bind_mapping(lab, *process, arguments.result_name(), placed->value, length);
  return {};
}

std::string text_of(const Range& range) { return fmt::format("{:#x}, {}", range.start, size_text(range.length)); }

// A call on a range: body(AddressSpace&, address, length).
template <typename Body>
Result<void> on_range(Lab& lab, Arguments& arguments, const Range& range, const std::string& more, Body&& body) {
  FL_CHECK(arguments.end());
  FL_TRY(LabProcess* const process, lab.current());
  const auto answer = process->process().run([&](mm::AddressSpace& space) { return body(space, VirtAddr(range.start), ByteCount(range.length)); });
  report(lab, *process, arguments.verb(), text_of(range) + more, answer, range);
  return {};
}

Result<void> munmap(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  return on_range(lab, arguments, range, "", [](mm::AddressSpace& space, VirtAddr at, ByteCount n) { return space.munmap(at, n); });
}

Result<void> mprotect(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  FL_TRY(const mm::Prot prot, prot_word(arguments));
  const std::string text = fmt::format(", {}{}{}", (prot & mm::kProtRead) != 0 ? "r" : "-", (prot & mm::kProtWrite) != 0 ? "w" : "-",
                                       (prot & mm::kProtExec) != 0 ? "x" : "-");
  return on_range(lab, arguments, range, text,
                  [&](mm::AddressSpace& space, VirtAddr at, ByteCount n) { return space.mprotect(at, n, prot); });
}

Result<void> madvise(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  FL_TRY(const std::string word, arguments.word("an advice such as dontneed"));
  const auto advice = std::find_if(kAdvices.begin(), kAdvices.end(), [&](const AdviceWord& one) { return one.name == word; });
  if (advice == kAdvices.end()) {
    std::string all;
    for (const AdviceWord& one : kAdvices) all += fmt::format("{}{}", all.empty() ? "" : ", ", one.name);
    return fail(make_error("madvise: wanted one of {}; found {}", all, quoted(word)));
  }
  const mm::Madvice value = advice->value;
  if (value == mm::Madvice::populate_read || value == mm::Madvice::populate_write || value == mm::Madvice::will_need ||
      value == mm::Madvice::guard_install) {
    FL_CHECK(bounded(lab, arguments, range.length));
  }
  return on_range(lab, arguments, range, fmt::format(", {}", word),
                  [&](mm::AddressSpace& space, VirtAddr at, ByteCount n) { return space.madvise(at, n, value); });
}

Result<void> mlock(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  FL_CHECK(bounded(lab, arguments, range.length));
  const bool on_fault = arguments.accept("onfault");
  return on_range(lab, arguments, range, on_fault ? ", onfault" : "", [&](mm::AddressSpace& space, VirtAddr at, ByteCount n) {
    return space.mlock2(at, n, on_fault ? mm::kMlockOnFault : 0);
  });
}

Result<void> munlock(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  return on_range(lab, arguments, range, "", [](mm::AddressSpace& space, VirtAddr at, ByteCount n) { return space.munlock(at, n); });
}

Result<void> msync(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  return on_range(lab, arguments, range, ", sync",
                  [](mm::AddressSpace& space, VirtAddr at, ByteCount n) { return space.msync(at, n, mm::kMsSync); });
}

Result<void> mincore(Lab& lab, Arguments& arguments) {
  FL_TRY(const Range range, arguments.range());
  FL_CHECK(bounded(lab, arguments, range.length));
  FL_CHECK(arguments.end());
  FL_TRY(LabProcess* const process, lab.current());
  const auto answer = process->space().mincore(VirtAddr(range.start), ByteCount(range.length));
  report(lab, *process, "mincore", text_of(range), answer, Range{});
  if (!answer) return {};
  std::string line;
  for (std::size_t i = 0; i < answer->size() && i < 64; ++i) line += (*answer)[i] ? '1' : '0';
  const auto in = static_cast<std::uint64_t>(std::count(answer->begin(), answer->end(), true));
  lab.effects().note(fmt::format("in memory: {} of {} pages: {}{}", in, answer->size(), line, answer->size() > 64 ? "..." : ""));
  return {};
}

Result<void> mremap(Lab& lab, Arguments& arguments) {
  const std::string_view first = arguments.peek();
  const std::string old_name(first);
  FL_TRY(const Range range, arguments.range());
  FL_TRY(const std::uint64_t length, arguments.size("the new length"));
  mm::MremapArguments wanted{VirtAddr(range.start), ByteCount(range.length), ByteCount(length), 0, VirtAddr(0)};
  std::string words;
  while (!arguments.done()) {
    FL_TRY(const std::string word, arguments.word("a flag"));
    words += fmt::format(", {}", word);
    if (word == "maymove") {
      wanted.flags |= mm::kRemapMayMove;
    } else if (word == "dontunmap") {
      wanted.flags |= mm::kRemapMayMove | mm::kRemapDontUnmap;
    } else if (word == "fixed") {
      FL_TRY(const std::uint64_t address, arguments.address());
      wanted.flags |= mm::kRemapMayMove | mm::kRemapFixed;
      wanted.new_address = VirtAddr(address);
      words += fmt::format(" {:#x}", address);
    } else {
      return fail(make_error("mremap: wanted maymove, dontunmap or fixed ADDRESS, found {}", quoted(word)));
    }
  }
  FL_TRY(LabProcess* const process, lab.current());
  const mm::Vma* vma = process->space().vmas().find(range.start);
  if (vma != nullptr && (vma->flags & mm::kVmLocked) != 0) FL_CHECK(bounded(lab, arguments, length));  // what grows is filled
  const Block* old = process->find_block(old_name);
  const bool renames = old != nullptr && old->kind == Block::Kind::mapping && arguments.result_name().empty();
  const auto moved = process->process().run([&](mm::AddressSpace& space) { return space.mremap(wanted); });
  if (moved && renames && (wanted.flags & mm::kRemapDontUnmap) == 0) process->blocks().erase(old_name);
  report(lab, *process, "mremap", fmt::format("{}, {}{}", text_of(range), size_text(length), words), moved, Range{0, process->space().profile().task_end});
  if (moved) bind_mapping(lab, *process, renames && (wanted.flags & mm::kRemapDontUnmap) == 0 ? old_name : arguments.result_name(), moved->value, length);
  return {};
}

Result<void> brk(Lab& lab, Arguments& arguments) {
  FL_TRY(LabProcess* const process, lab.current());
  const std::uint64_t now = process->space().current_brk().value;
  std::uint64_t wanted = now;
  if (const std::string_view word = arguments.peek(); word.starts_with('+') || word.starts_with('-')) {
    const Result<std::uint64_t> by = parse_size(word.substr(1));
    if (!by) return fail(make_error("brk: wanted +SIZE, -SIZE or an address, found {}", quoted(word)));
    wanted = word[0] == '+' ? now + *by : now - *by;
    if (word[0] == '+' ? wanted < now : wanted > now) return fail(make_error("brk: wanted a break between 0 and 2^64, found {}", quoted(word)));
    FL_CHECK(arguments.word("+SIZE"));
  } else {
    FL_TRY(wanted, arguments.address("+SIZE, -SIZE or an address"));
  }
  if (wanted > now && process->space().vmas().find(now - 1) != nullptr) {
    const mm::Vma* heap = process->space().vmas().find(process->space().start_brk().value);
    if (heap != nullptr && (heap->flags & mm::kVmLocked) != 0) FL_CHECK(bounded(lab, arguments, wanted - now));
  }
  const VirtAddr answer = process->process().run([&](mm::AddressSpace& space) { return space.brk(VirtAddr(wanted)); });
  if (answer.value != wanted) lab.effects().refuse(mm::Errno::nomem);
  lab.effects().call("brk", fmt::format("brk({:#x}) = {:#x}{}", wanted, answer.value, answer.value == wanted ? "" : ": the break stays"));
  process->review_blocks(std::min(wanted, now), page_ceil(now));
  return {};
}

constexpr Verb kVerbs[] = {
    {"mmap", "LENGTH [rw|r|none...] [shared|private] [FLAG...]", "m = mmap 1M rw; also: at ADDRESS, fixed, populate, noreserve, file F offset 8K ...", mmap, Verb::Result::address},
    {"munmap", "RANGE", "munmap m, munmap m+64K 8K", munmap},
    {"mprotect", "RANGE RIGHTS", "mprotect m 8K r", mprotect},
    {"mremap", "RANGE LENGTH [maymove] [fixed ADDRESS] [dontunmap]", "mremap m 2M maymove: the name moves with the mapping", mremap, Verb::Result::address},
    {"madvise", "RANGE ADVICE", "madvise m dontneed", madvise},
    {"brk", "+SIZE|-SIZE|ADDRESS", "moves the break behind malloc's back", brk},
    {"mlock", "RANGE [onfault]", "keeps the pages in memory, and faults them in", mlock},
    {"munlock", "RANGE", "takes that back", munlock},
    {"msync", "RANGE", "writes a shared file mapping back", msync},
    {"mincore", "RANGE", "which pages are in memory", mincore},
};

}  // namespace

std::span<const Verb> mapping_verbs() { return kVerbs; }

}  // namespace faultline::lab
