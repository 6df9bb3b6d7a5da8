// The machine: limits, overcommit, kernel version, files.
#include <fmt/format.h>

#include "lab/verb.h"

namespace faultline::lab {

namespace {

Result<void> before_machine(const Lab& lab, const std::string& what) {
  if (!lab.has_machine()) return {};
  return fail(make_error("{}: wanted before anything runs, found a machine at work", what));
}

Result<void> limit(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string what, arguments.word("frames, maps, stack, as, data or memlock"));
  if (what == "frames" || what == "maps") {
    FL_CHECK(before_machine(lab, "limit " + what));
    if (what == "frames") {
      FL_TRY(lab.config().frames, arguments.number(16, lab.options().most_frames, "a number of frames"));
    } else {
      FL_TRY(lab.config().profile.max_map_count, arguments.number(1, 65'530, "a number of mappings"));
    }
    return {};
  }
  std::uint64_t mm::ResourceLimits::*member = nullptr;
  if (what == "stack") member = &mm::ResourceLimits::stack;
  if (what == "as") member = &mm::ResourceLimits::address_space;
  if (what == "data") member = &mm::ResourceLimits::data;
  if (what == "memlock") member = &mm::ResourceLimits::memlock;
  if (member == nullptr) return fail(make_error("limit: wanted frames, maps, stack, as, data or memlock, found {}", quoted(what)));
  FL_TRY(const std::string text, arguments.word("a size or unlimited"));
  const Result<std::uint64_t> value = parse_limit(text);
  if (!value) return fail(make_error("limit: {}", value.error().message()));
  if (lab.processes().empty()) {
    lab.limits().*member = *value;
    return {};
  }
  FL_TRY(LabProcess* const process, lab.current());
  mm::ResourceLimits limits = process->space().limits();
  limits.*member = *value;
  process->process().run([&](mm::AddressSpace& space) { space.set_limits(limits); });
  return {};
}

Result<void> overcommit(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string mode, arguments.word("guess, always or never"));
  if (mode == "guess") {
    lab.set_overcommit(mm::Overcommit::guess);
  } else if (mode == "always") {
    lab.set_overcommit(mm::Overcommit::always);
  } else if (mode == "never") {
    lab.set_overcommit(mm::Overcommit::never);
  } else {
    return fail(make_error("overcommit: wanted guess, always or never, found {}", quoted(mode)));
  }
  return {};
}

Result<void> kernel(Lab& lab, Arguments& arguments) {
  FL_CHECK(before_machine(lab, "kernel"));
  FL_TRY(const std::string version, arguments.word("6.18 or 6.1"));
  const mm::KernelProfile before = lab.config().profile;
  if (version == "6.18") {
    lab.config().profile = mm::KernelProfile::linux_6_18();
  } else if (version == "6.1") {
    lab.config().profile = mm::KernelProfile::linux_6_1();
  } else {
    return fail(make_error("kernel: wanted 6.18 or 6.1, found {}", quoted(version)));
  }
  lab.config().profile.max_map_count = before.max_map_count;
  lab.config().profile.thp = before.thp;
  return {};
}

Result<void> thp(Lab& lab, Arguments& arguments) {
  FL_CHECK(before_machine(lab, "thp"));
  FL_TRY(const std::string mode, arguments.word("always, madvise or never"));
  if (mode == "always") {
    lab.config().profile.thp = mm::ThpMode::always;
  } else if (mode == "madvise") {
    lab.config().profile.thp = mm::ThpMode::madvise;
  } else if (mode == "never") {
    lab.config().profile.thp = mm::ThpMode::never;
  } else {
    return fail(make_error("thp: wanted always, madvise or never, found {}", quoted(mode)));
  }
  return {};
}

Result<void> file(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.new_name("a name for the file"));
  FL_TRY(const std::uint64_t bytes, arguments.size());
  if (bytes > std::uint64_t{1} << 40) return fail(make_error("file: wanted a size up to 1T, found {}", size_text(bytes)));
  return lab.add_file(name, bytes);
}

Result<mm::FileObject*> file_argument(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.word("a file"));
  const Result<mm::FileObject*> found = lab.file(name);
  if (!found) return fail(make_error("{}: {}", arguments.verb(), found.error().message()));
  return *found;
}

Result<void> sync(Lab& lab, Arguments& arguments) {
  FL_TRY(mm::FileObject* const file, file_argument(lab, arguments));
  lab.machine().sync(*file);
  return {};
}

Result<void> dropcache(Lab& lab, Arguments& arguments) {
  FL_TRY(mm::FileObject* const file, file_argument(lab, arguments));
  lab.machine().drop_cache(*file);
  return {};
}

Result<void> truncate(Lab& lab, Arguments& arguments) {
  FL_TRY(mm::FileObject* const file, file_argument(lab, arguments));
  FL_TRY(const std::uint64_t bytes, arguments.size());
  if (bytes > std::uint64_t{1} << 40) return fail(make_error("truncate: wanted a size up to 1T, found {}", size_text(bytes)));
  lab.machine().truncate(*file, bytes);
  return {};
}

Result<void> wait(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::uint64_t seconds, arguments.number(1, 100'000, "a number of seconds"));
  const std::uint64_t before = lab.machine().khugepaged().pages_collapsed();
  lab.machine().advance(seconds * 1'000'000'000);
  const std::uint64_t made = lab.machine().khugepaged().pages_collapsed() - before;
  if (made > 0) lab.effects().note(fmt::format("khugepaged: {} huge page{} made of what was there", made, made == 1 ? "" : "s"));
  return {};
}

constexpr auto kNone = Verb::Result::none;
constexpr Verb kVerbs[] = {
    {"limit", "frames|maps N, stack|as|data|memlock SIZE", "limit stack 1M; frames and maps before anything runs", limit, kNone, false, false},
    {"overcommit", "guess|always|never", "vm.overcommit_memory", overcommit, kNone, false, false},
    {"kernel", "6.18|6.1", "whose rules hold; before anything runs", kernel, kNone, false, false},
    {"thp", "always|madvise|never", "transparent huge pages; madvise unless said otherwise; before anything runs", thp, kNone, false, false},
    {"file", "NAME SIZE", "a file on disk, none of it cached: mmap 64K r file NAME", file, kNone, false, false},
    {"sync", "FILE", "writes its dirty pages back", sync, kNone, false, false},
    {"dropcache", "FILE", "its clean pages that nobody maps leave the page cache", dropcache, kNone, false, false},
    {"truncate", "FILE SIZE", "ftruncate, either way", truncate, kNone, false, false},
    {"wait", "SECONDS", "time goes by: khugepaged wakes every 10 s and looks at 16 MiB", wait, kNone, false, false},
};

}  // namespace

std::span<const Verb> machine_verbs() { return kVerbs; }

}  // namespace faultline::lab
