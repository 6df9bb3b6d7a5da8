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

// The lines the twin can know; its peaks and file pages are not the child's.
std::string difference_in_status(std::string_view real, std::string_view twin) {
  std::string difference;
  for (const char* name : {"VmSize:", "VmLck:", "VmPin:", "RssAnon:", "VmData:", "VmStk:", "VmPTE:", "VmSwap:"}) {
    if (field(real, name) != field(twin, name)) {
      difference += fmt::format("  {} kernel {} kB, twin {} kB\n", name, field(real, name), field(twin, name));
    }
  }
  return difference;
}

std::string_view line_of(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size() - 1);
  const std::string_view line = text.substr(0, end + 1);
  text.remove_prefix(end + 1);
  return line;
}

std::string difference_in_lines(std::string_view real, std::string_view twin) {
  while (!real.empty() && !twin.empty()) {
    const std::string_view one = line_of(real);
    const std::string_view other = line_of(twin);
    if (one != other) return fmt::format("  kernel: {}  twin:   {}", one, other);
  }
  return real.size() == twin.size() ? "" : "  one text is longer\n";
}

// Anonymous mappings byte for byte but for two lines, of the others the first line: which pages of its files the child shares with others
// the twin cannot know.
std::string difference_in_smaps(std::string_view real, std::string_view twin) {
  bool whole = false;
  std::string_view header;
  while (!real.empty() && !twin.empty()) {
    const std::string_view one = line_of(real);
    const std::string_view other = line_of(twin);
    if (one.find('-') < 17) {
      header = one;
      whole = one.find('/') == std::string_view::npos && (one.find('[') == std::string_view::npos ||
                                                          one.find("[stack]") != std::string_view::npos ||
                                                          one.find("[heap]") != std::string_view::npos);
      if (one == other) continue;
    } else if (!whole || one == other || one.rfind("Referenced:", 0) == 0 || one.rfind("LazyFree:", 0) == 0) {
      // Two lines tell of reclaim's lists: PG_referenced, and the batch of up to 31 pages that MADV_FREE has not marked yet.
      continue;
    }
    return fmt::format("  {}  kernel: {}  twin:   {}", header, one, other);
  }
  return real.size() == twin.size() ? "" : "  one smaps is longer\n";
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

Watch Campaign::watch_for(std::uint64_t seed) const {
  const bool texts = seed % (16 * batch_) < batch_;  // smaps costs as much as a program
  return {.room_pages = shape_.room * 2, .texts = kStatusText | (texts ? kSmapsText | kMapsText : 0)};
}

// The /proc texts the child wrote after a program, against the twin's.
std::string Campaign::difference_in_texts(std::span<const std::uint64_t> words, std::size_t& at, const Texts& twin) {
  const auto next = [&] {
    const std::size_t size = words[at];
    const std::string_view text(reinterpret_cast<const char*>(&words[at + 1]), size);
    at += 1 + (size + 7) / 8;
    return text;
  };
  std::string difference = difference_in_status(next(), twin.status);
  if (!twin.smaps.empty()) difference += difference_in_smaps(next(), twin.smaps);
  if (!twin.maps.empty()) difference += difference_in_lines(next(), twin.maps);
  return difference;
}

Texts Campaign::twin_texts(const Watch& watch) const {
  Texts texts;
  texts.status = mm::status_text(twin_->space(), twin_->names());
  if ((watch.texts & kSmapsText) != 0) texts.smaps = mm::smaps_text(twin_->space(), twin_->names());
  if ((watch.texts & kMapsText) != 0) texts.maps = mm::maps_text(twin_->space(), twin_->names());
  return texts;
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
  // The twin's turn while the kernel works.
  std::vector<std::vector<std::uint64_t>> expected(programs.size());
  std::vector<Texts> texts(programs.size());
  for (std::size_t i = 0; i < programs.size(); ++i) {
    twin_->observe(twin_->run({Op::reset}), watch, expected[i]);
    for (const Step& one : programs[i]) twin_->observe(twin_->run(one.call), watch, expected[i]);
    if ((first_seed + i) % 16 == 0) twin_->machine().check_invariants();
    texts[i] = twin_texts(watch);
  }
  const std::span<const std::uint64_t> words = kernel_->finish();
  if (words.empty()) {  // too much for the area: again with fewer
    batch_ = std::max<std::uint64_t>(1, batch_ / 2);
    restart();
    return 0;
  }
  std::size_t at = 0;
  for (std::uint64_t good = 0; good < programs.size(); ++good) {
    const std::vector<std::uint64_t>& one = expected[good];
    bad = 1;
    if (words.size() - at < one.size() || std::memcmp(words.data() + at, one.data(), one.size() * sizeof one[0]) != 0) {
      in_batch_ = first_difference(programs[good], words.subspan(at), one);
      return good;
    }
    at += one.size();
    in_batch_ = difference_in_texts(words, at, texts[good]);
    if (!in_batch_.empty()) return good;
    bad = 0;
    calls_ += programs[good].size();
  }
  return programs.size();
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
  const std::string texts = difference_in_texts(words, at, twin_texts(watch));
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
