// What the tester and the solo child share: one memory area, calls in, observations out.
//
// The child is a program of its own without libc, so that all its memory is known: it holds nothing but its image, its
// stack, the vdso and this area, every page present before the first call. Programs are sent in batches; after each call
// the child writes down what the kernel answered, which mappings there are and which pages are present, in 64-bit words.
// The twin writes the same words, so that comparing is comparing memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "../process.h"

namespace faultline::spec::solo {

inline constexpr std::uint64_t kAreaAddress = 0x80'0000'0000;  // below the window of process.h
inline constexpr std::size_t kMaxCalls = 64 * 48;              // of one batch
inline constexpr std::size_t kMaxWords = std::size_t{1} << 18;
inline constexpr std::uint64_t kHeapPages = 96;                // observed above the break's start
inline constexpr std::uint64_t kHeapMargin = 1024;             // pages below it that mappings of the heap may begin in

// What is done after each call.
struct Watch {
  std::uint64_t room_pages = 0;  // pages of the window whose entries are looked at; all its mappings are
  std::uint64_t texts = 0;       // after the last call of each program: kStatusText, kSmapsText
};
inline constexpr std::uint64_t kStatusText = 1;
inline constexpr std::uint64_t kSmapsText = 2;
inline constexpr std::uint64_t kMapsText = 4;

struct Area {
  std::atomic<std::uint32_t> turn{1};  // 0 the tester's, 1 the child's
  std::uint32_t quit = 0;
  std::int32_t failed = 0;             // of the child: errno of something a test cannot do without
  std::uint32_t tester = 0;            // pid
  std::uint64_t start_brk = 0;
  std::uint64_t hard_limit[16] = {};   // by RLIMIT_*: the child cannot ask for more
  Watch watch;
  std::uint64_t calls = 0;             // in
  std::uint64_t words = 0;             // out
  Call call[kMaxCalls];                // a program begins with Op::reset
  std::uint64_t word[kMaxWords];
};

// An observation, word by word: value; errno | minor faults << 32; refused | no access << 16 | major faults << 32;
// mappings | page ranges << 32; then one word per mapping and per range, those of the window first, then the heap's.
// Mapping: first page | end page << 24 | PROT_* << 48 | shared << 51. Range: first page | end page << 24 | state << 48.
// Pages of the window are counted from its start, those of the heap from kHeapMargin below its start.
// After the last call of a program, for each text asked for: its bytes, then that many, padded to words.
constexpr std::uint64_t packed(std::uint64_t first, std::uint64_t end, std::uint64_t what) {
  return first | end << 24 | what << 48;
}

// linux/fs.h, PAGEMAP_SCAN: PAGE_IS_*, the ones that are looked at.
inline constexpr std::uint64_t kPageFile = 1u << 2, kPagePresent = 1u << 3, kPageSwapped = 1u << 4, kPageZero = 1u << 5,
                               kPageHuge = 1u << 6, kPageGuard = 1u << 8;

}  // namespace faultline::spec::solo
