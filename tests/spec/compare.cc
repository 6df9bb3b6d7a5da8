#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "kernel_process.h"
#include "program.h"
#include "test_file.h"
#include "twin_process.h"

namespace faultline::spec {

namespace {

struct Pair {
  Process* kernel = nullptr;
  Process* twin = nullptr;
  std::unique_ptr<Process> kernel_child, twin_child;  // for all but process 0
};

std::string difference_of(Pair& pair, bool huge, const char*& what) {
  const auto real_maps = pair.kernel->mappings();
  const auto twin_maps = pair.twin->mappings();
  what = "mappings";
  if (real_maps != twin_maps) return fmt::format("  kernel: {}\n  twin:   {}", to_string(real_maps), to_string(twin_maps));
  what = "pages";
  const std::uint64_t room = huge ? 8 * 512 : 2 * kRoom;
  const auto real_pages = pair.kernel->pages(kWindow, room * kPage);
  const auto twin_pages = pair.twin->pages(kWindow, room * kPage);
  if (real_pages != twin_pages && huge) {
    const std::size_t at = static_cast<std::size_t>(std::mismatch(real_pages.begin(), real_pages.end(), twin_pages.begin()).first - real_pages.begin());
    return fmt::format("  from W+{} on, kernel {} twin {}", at, real_pages[at], twin_pages[at]);
  }
  if (real_pages != twin_pages) {
    return fmt::format("  kernel: {}\n  twin:   {}", fmt::join(real_pages, ""), fmt::join(twin_pages, ""));
  }
  what = "huge pages";
  const std::uint64_t real_huge = huge ? pair.kernel->huge_bytes() : 0;
  const std::uint64_t twin_huge = huge ? pair.twin->huge_bytes() : 0;
  if (real_huge != twin_huge) return fmt::format("  kernel: {:#x}\n  twin:   {:#x}", real_huge, twin_huge);
  return {};
}

}  // namespace

std::string compare(KernelProcess& kernel, const Program& program) {
  TwinProcess twin;
  kernel.run({Op::reset});
  std::vector<std::unique_ptr<TestFile>> files;
  bool huge = false;
  std::map<std::uint32_t, Pair> processes;
  processes[0].kernel = &kernel;
  processes[0].twin = &twin;
  std::string story;
  for (const Step& step : program) {
    const auto found = processes.find(step.process);
    if (found == processes.end()) continue;
    Pair& pair = found->second;
    const Call& call = step.call;
    Answer real;
    Answer modelled;
    if (call.op == Op::fork) {
      const auto child = static_cast<std::uint32_t>(call.a);
      if (processes.contains(child) || processes.size() >= 8) continue;
      Pair made;
      made.kernel_child = pair.kernel->fork();
      made.twin_child = pair.twin->fork();
      made.kernel = made.kernel_child.get();
      made.twin = made.twin_child.get();
      processes[child] = std::move(made);
    } else if (call.op == Op::huge) {
      huge = call.a != 0;
      pair.kernel->allow_huge_pages(huge);
      pair.twin->allow_huge_pages(huge);
    } else if (call.op == Op::open) {
      files.push_back(std::make_unique<TestFile>(static_cast<FileKind>(call.b), call.c, call.d));
      pair.kernel->open(static_cast<std::uint32_t>(call.a), *files.back(), call.e == 0);
      pair.twin->open(static_cast<std::uint32_t>(call.a), *files.back(), call.e == 0);
    } else if (call.op == Op::exit) {
      if (step.process != 0) processes.erase(found);
    } else {
      real = pair.kernel->run(call);
      modelled = pair.twin->run(call);
    }
    story += fmt::format("  {}: {} = {}\n", step.process, call.to_string(), real.to_string());
    if (real != modelled) return fmt::format("answer\n{}  twin: {}", story, modelled.to_string());
    twin.machine().check_invariants();
    if (call.op == Op::brk && pair.kernel->heap() != pair.twin->heap()) {
      return fmt::format("heap\n{}  kernel: {}\n  twin:   {}", story, to_string(pair.kernel->heap()), to_string(pair.twin->heap()));
    }
    for (auto& [number, one] : processes) {
      const char* what = "";
      const std::string difference = difference_of(one, huge, what);
      if (!difference.empty()) return fmt::format("{} of process {}\n{}{}", what, number, story, difference);
    }
  }
  return {};
}

Program shrink(KernelProcess& kernel, Program program) {
  // First whole stretches, then smaller and smaller ones, until no single step can be left out.
  for (std::size_t stretch = program.size() / 2; stretch > 0;) {
    bool smaller = false;
    for (std::size_t at = 0; at + stretch <= program.size();) {
      Program fewer = program;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at), fewer.begin() + static_cast<std::ptrdiff_t>(at + stretch));
      if (compare(kernel, fewer).empty()) {
        ++at;
      } else {
        program = std::move(fewer);
        smaller = true;
      }
    }
    if (!smaller || stretch > 1) stretch /= 2;
  }
  return program;
}

}  // namespace faultline::spec
