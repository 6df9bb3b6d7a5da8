// Layout of a recording on disk: one FileHeader, then blocks until the end of the file. All numbers little endian.
// Every block is whole or it is damage: a reader needs nothing after the block it reads, so a recording whose recorder was
// killed, or whose disk filled up, is readable up to its last whole block.
#pragma once

#include <cstddef>
#include <cstdint>

namespace faultline::trace {

inline constexpr char kFileMagic[8] = {'f', 'a', 'u', 'l', 't', 'l', 'n', '\n'};
inline constexpr std::uint32_t kFormatVersion = 2;         // 2: kinds of access, more calls, tasks and mappings; 1 is still read
inline constexpr std::uint32_t kOldestFormatVersion = 1;

// Files made of blocks, told apart by their first eight bytes.
struct FileType {
  const char* magic;  // 8 bytes
  std::uint32_t version, oldest_version;
  const char* noun;
};
inline constexpr FileType kRecordingType{kFileMagic, kFormatVersion, kOldestFormatVersion, "recording"};
inline constexpr char kReferenceMagic[8] = {'f', 'a', 'u', 'l', 't', 'r', 'e', 'f'};
inline constexpr FileType kReferenceStreamType{kReferenceMagic, 1, 1, "reference stream"};  // references/reference_codec.h

inline constexpr std::uint32_t kBlockMagic = 0x4b424c46;         // "FLBK"
inline constexpr std::uint32_t kMaxBlockRaw = 64u * 1024 * 1024;  // a larger size in a header is damage, not a wish

struct FileHeader {
  char magic[8];
  std::uint32_t version;
  std::uint32_t header_bytes;  // blocks begin here
};

enum class BlockKind : std::uint16_t {
  heap = 1,     // wire bytes of one ring (wire.h), whole records, as they came
  calls = 2,    // memory_codec.h, one process
  faults = 3,   // memory_codec.h, one process
  samples = 4,  // memory_codec.h, one process
  process = 5,  // JSON of one process image; a later block of the same image replaces an earlier one
  meta = 6,     // JSON; a later one replaces an earlier one
  clock = 7,    // array of TickPair, in tick order; the pairs of all blocks together are the clock
  end = 8,      // nothing follows; an unfinished recording has none
  tasks = 9,    // system_codec.h, all processes, pid 0
  mappings = 10,  // system_codec.h, one process
  files = 11,     // cached_file_codec.h, all files that were mapped
  // Of reference streams (references/reference_codec.h); an end block closes them too.
  reference_origin = 32,  // where the stream comes from; first
  reference_names = 33,   // files, processes and remarks, new or changed; before the events that use them
  references = 34,        // first_time, last_time: repeats left out before the block and up to its end
};

// What kinds of records a heap block holds besides events: readers skip the others.
enum HeapBlockFlag : std::uint16_t {
  kHasStart = 1,
  kHasExit = 2,
  kHasTouches = 4,
  kHasModules = 8,
  kHasCalls = 16,
  kHasNotes = 32,
  kHasThreadEnds = 64,
};

enum FaultBlockFlag : std::uint16_t {
  kHasAccess = 1,  // each fault says read, write or execute
};

struct BlockHeader {
  std::uint32_t magic;
  std::uint16_t kind;
  std::uint16_t flags;
  std::int32_t pid;
  std::int32_t tid;            // heap: the thread that owned the ring last
  std::uint32_t image;         // one execve (or fork) of one process: the number of its process block
  std::uint32_t ring;          // heap: ring number within the image
  std::uint64_t sequence;      // heap: 0, 1, 2 ... within (image, ring)
  std::uint64_t first_time;    // heap: ticks of the first and last stamp; others: ns since the start of the recording
  std::uint64_t last_time;
  std::uint32_t events;        // heap: HeapEvents; others: entries
  std::uint32_t raw_bytes;
  std::uint32_t stored_bytes;  // zstd frame; the block ends here
  std::uint32_t reserved;
  std::uint64_t payload_hash;  // xxh64 of the stored bytes
  std::uint64_t header_hash;   // xxh64 of the header before this field
};
static_assert(sizeof(BlockHeader) == 80 && offsetof(BlockHeader, header_hash) == 72);

}  // namespace faultline::trace
