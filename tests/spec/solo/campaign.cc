#include "campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace faultline::spec::solo {

namespace {

std::string maps_of(std::span<const std::uint64_t> words) {
  std::string text;
  for (const std::uint64_t word : words) {
    const std::uint64_t access = word >> 48;
    text += fmt::format(" [{} {}p {}{}{}{}]", word & 0xffffff, (word >> 24 & 0xffffff) - (word & 0xffffff),
                        (access & 1) != 0 ? 'r' : '-', (access & 2) != 0 ? 'w' : '-', (access & 4) != 0 ? 'x' : '-',
                        (access & 8) != 0 ? 's' : 'p');
  }
  return text;
}

std::string pages_of(std::span<const std::uint64_t> words) {
  std::string text;
  for (const std::uint64_t word : words) {
    const std::uint64_t state = word >> 48;
    text += fmt::format(" [{} {}p{}{}{}{}{}]", word & 0xffffff, (word >> 24 & 0xffffff) - (word & 0xffffff),
                        (state & kPageZero) != 0 ? " zero" : "", (state & kPageFile) != 0 ? " file" : "",
                        (state & kPageGuard) != 0 ? " guard" : "", (state & kPageHuge) != 0 ? " huge" : "",
                        (state & kPageSwapped) != 0 ? " swapped" : "");
  }
  return text;
}

Answer answer_of(std::span<const std::uint64_t> words) {
  return {.value = static_cast<std::int64_t>(words[0]),
          .error = static_cast<std::int32_t>(words[1] & 0xffffffff),
          .refused = static_cast<std::uint32_t>(words[2] & 0xffff),
          .no_access = static_cast<std::uint32_t>(words[2] >> 16 & 0xffff),
          .minor_faults = words[1] >> 32,
          .major_faults = words[2] >> 32};
}

std::string describe(std::span<const std::uint64_t> words) {
  const std::size_t maps = words[3] & 0xffffffff;
  return fmt::format("{}\n           maps {}\n           pages{}", answer_of(words).to_string(), maps_of(words.subspan(4, maps)),
                     pages_of(words.subspan(4 + maps)));
}

std::size_t length_of(std::span<const std::uint64_t> words) { return 4 + (words[3] & 0xffffffff) + (words[3] >> 32); }

std::uint64_t field(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  return at == std::string_view::npos ? 0 : std::strtoull(text.data() + at + name.size(), nullptr, 10);
}

// Where two lists of observations part.
std::string first_difference(const Program& program, std::span<const std::uint64_t> real, std::span<const std::uint64_t> expected) {
  for (std::size_t call = 0; call <= program.size() && !expected.empty() && real.size() >= 4; ++call) {
    const auto one = real.subspan(0, std::min(real.size(), length_of(real)));
    const auto other = expected.subspan(0, length_of(expected));
    if (!std::equal(one.begin(), one.end(), other.begin(), other.end())) {
      return fmt::format("  call {}, {}\n  kernel:  {}\n  twin:    {}\n", call,
                         call == 0 ? "reset" : program[call - 1].call.to_string(), describe(one), describe(other));
    }
    real = real.subspan(one.size());
    expected = expected.subspan(other.size());
  }
  return "  at the end\n";
}

}  // namespace

Campaign::Campaign(const Shape& shape) : shape_(shape) { restart(); }

void Campaign::restart() {
  kernel_ = std::make_unique<Kernel>();
  twin_ = std::make_unique<Twin>(*kernel_);
}

Watch Campaign::watch_for(std::uint64_t) const { return {.room_pages = shape_.room * 2, .texts = kStatusText}; }

// What /proc/PID/status counts, against the twin's counters.
std::string Campaign::difference_in_texts(std::span<const std::uint64_t> words, std::size_t& at, const Watch& watch) const {
  if ((watch.texts & kStatusText) == 0) return {};
  const std::size_t size = words[at];
  const std::string_view text(reinterpret_cast<const char*>(&words[at + 1]), size);
  at += 1 + (size + 7) / 8;
  const mm::AddressSpace& space = twin_->space();
  const mm::MappedPages& mapped = space.mapped();
  const auto kib = [](std::uint64_t pages) { return pages * (kPage / 1024); };
  const struct {
    const char* name;
    std::uint64_t twin;
  } counted[] = {{"VmSize:", kib(mapped.total)},
                 {"VmLck:", kib(mapped.locked)},
                 {"VmData:", kib(mapped.data)},
                 {"VmStk:", kib(mapped.stack)},
                 {"VmPTE:", kib(space.page_table().table_pages())},
                 {"RssAnon:", kib(space.statistics().of(mm::VmaTag::other).resident_pages +
                                  space.statistics().of(mm::VmaTag::heap).resident_pages)}};
  std::string difference;
  for (const auto& one : counted) {
    const std::uint64_t real = field(text, one.name);
    if (real != one.twin) difference += fmt::format("  {} kernel {} kB, twin {} kB\n", one.name, real, one.twin);
  }
  return difference;
}

// Runs programs from first_seed on; how many were the same. bad: 1 when the one after these differed.
std::uint64_t Campaign::run_batch(std::uint64_t first_seed, std::uint64_t most, std::uint64_t& bad) {
  std::vector<Program> programs;
  std::vector<Call> calls;
  for (std::uint64_t i = 0; i < std::min(most, batch_); ++i) {
    programs.push_back(random_program(first_seed + i, shape_));
    calls.push_back({Op::reset});
    for (const Step& step : programs.back()) calls.push_back(step.call);
  }
  const Watch watch = watch_for(first_seed);
  kernel_->start(calls, watch);
  std::vector<std::uint64_t> expected;
  std::vector<std::size_t> ends;  // of each program's words
  std::span<const std::uint64_t> words;
  std::size_t at = 0;
  std::uint64_t good = 0;
  bool waited = false;
  for (const Program& program : programs) {
    expected.clear();
    const auto step = [&](const Call& call) {
      const Answer answer = twin_->run(call);
      twin_->observe(answer, watch, expected);
    };
    step({Op::reset});
    for (const Step& one : program) step(one.call);
    const bool thorough = (first_seed + good) % 16 == 0;
    if (thorough) twin_->machine().check_invariants();
    if (!waited) {
      words = kernel_->finish();
      waited = true;
      if (words.empty()) {  // too much for the area: again with fewer
        batch_ = std::max<std::uint64_t>(1, batch_ / 2);
        restart();
        return 0;
      }
    }
    const bool same = words.size() - at >= expected.size() &&
                      std::memcmp(words.data() + at, expected.data(), expected.size() * sizeof(std::uint64_t)) == 0;
    if (!same) {
      in_batch_ = first_difference(program, words.subspan(at), expected);
      bad = 1;
      return good;
    }
    at += expected.size();
    in_batch_ = difference_in_texts(words, at, watch);
    if (!in_batch_.empty()) {
      bad = 1;
      return good;
    }
    ++good;
    calls_ += program.size();
  }
  return good;
}

std::string Campaign::compare(const Program& program) {
  std::vector<Call> calls{{Op::reset}};
  for (const Step& step : program) calls.push_back(step.call);
  const Watch watch = watch_for(0);
  kernel_->start(calls, watch);
  const std::span<const std::uint64_t> words = kernel_->finish();
  std::size_t at = 0;
  std::string story;
  for (const Call& call : calls) {
    std::vector<std::uint64_t> expected;
    twin_->observe(twin_->run(call), watch, expected);
    twin_->machine().check_invariants();
    const std::span<const std::uint64_t> real = words.subspan(at, length_of(words.subspan(at)));
    at += real.size();
    story += fmt::format("  {} = {}\n", call.to_string(), answer_of(real).to_string());
    if (!std::equal(real.begin(), real.end(), expected.begin(), expected.end())) {
      story += fmt::format("  kernel:  {}\n  twin:    {}\n", describe(real), describe(expected));
      restart();
      return story;
    }
  }
  const std::string texts = difference_in_texts(words, at, watch);
  restart();
  return texts.empty() ? texts : story + texts;
}

Program Campaign::shrink(Program program) {
  for (std::size_t stretch = program.size() / 2; stretch > 0;) {
    bool smaller = false;
    for (std::size_t at = 0; at + stretch <= program.size();) {
      Program fewer = program;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at), fewer.begin() + static_cast<std::ptrdiff_t>(at + stretch));
      if (compare(fewer).empty()) {
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

}  // namespace faultline::spec::solo
