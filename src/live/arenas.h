// The heaps of glibc's thread arenas, recognised from outside (glibc malloc/arena.c new_heap): 64 MiB of address space aligned to
// 64 MiB, writable from the start as far as they are used, PROT_NONE to the end.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "live/layout.h"

namespace faultline::live {

inline constexpr std::uint64_t kHeapMax = 64 << 20;  // HEAP_MAX_SIZE: 2 * DEFAULT_MMAP_THRESHOLD_MAX on 64-bit

// Reads the word at an address of the process: none if that is not permitted, or would touch a page that is not resident.
using ReadWord = std::function<std::optional<std::uint64_t>(std::uint64_t address)>;

// By rising address. What has the shape is asked for its heap_info where words can be read; a mapping that only has the shape is none.
// Where they cannot, the shape alone decides: then a whole 64 MiB without PROT_NONE is not taken for one.
std::vector<Heap> find_heaps(const std::vector<Mapping>& mappings, const ReadWord& read_word);

}  // namespace faultline::live
