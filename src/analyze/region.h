// What lies at an address of the recorded process: the row a page fault is counted in.
#pragma once

#include <array>
#include <cstdint>

namespace faultline::analyze {

enum class Region : std::uint8_t {
  heap_block,       // a live malloc block in the brk heap or a thread arena
  heap_free,        // heap memory without a live block: allocator's headers, memory handed out later, tcache
  mmapped_chunk,    // a malloc block with a mapping of its own (or the header page of one)
  stack,            // the main stack; a thread's stack is a mapping with MAP_STACK
  thread_stack,
  module,           // text, data and bss of the executable and its libraries
  file_mapping,     // a file the program mapped itself
  program_mapping,  // anonymous memory the program mapped itself
  recorder,         // the recorder's own mappings: not the program's doing
  unknown,
};
inline constexpr std::size_t kRegionCount = 10;

const char* region_key(Region region);    // stable, for JSON
const char* region_title(Region region);  // for people

}  // namespace faultline::analyze
