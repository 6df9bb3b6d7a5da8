// Finds the frame description of a code address: _dl_find_object (or dl_iterate_phdr on glibc before 2.35), then the binary
// search table of .eh_frame_hdr. Format: LSB Core "Exception Frames".
#pragma once

#include <cstdint>

struct link_map;

namespace faultline::shim {

struct CodeObject {
  std::uint64_t start = 0, end = 0;      // mapped image
  std::uint64_t hdr = 0;                 // .eh_frame_hdr, 0 if the object has none
  std::uint64_t data_start = 0, data_end = 0;  // the load segment that holds the tables: the bounds of every read
  std::uint64_t data_offset = 0;         // of data_start in the file
  std::uint64_t bias = 0;
  const char* name = nullptr;            // empty for the executable
};

// A frame description with its common information, as positions in memory.
struct FrameDescription {
  std::uint64_t code_start = 0, code_end = 0;
  std::uint64_t instructions = 0, instructions_end = 0;
  std::uint64_t initial = 0, initial_end = 0;  // the CIE's instructions
  std::uint64_t code_align = 1;
  std::int64_t data_align = 1;
  std::uint64_t return_register = 16;
  std::uint8_t pointer_encoding = 0;
  bool signal_frame = false;
  std::uint64_t aside = 0;  // see ByteReader
};

// False when no object is loaded there.
bool find_code_object(std::uint64_t pc, CodeObject& object);

// False when the object has no description for pc (code without unwind tables).
bool find_frame_description(const CodeObject& object, std::uint64_t pc, FrameDescription& description);

}  // namespace faultline::shim
