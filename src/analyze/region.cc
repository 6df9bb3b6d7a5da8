#include "analyze/region.h"

namespace faultline::analyze {

const char* region_key(Region region) {
  static constexpr const char* kKeys[kRegionCount] = {"heap_block", "heap_free",    "mmapped_chunk",   "stack",    "thread_stack",
                                                      "module",     "file_mapping", "program_mapping", "recorder", "unknown"};
  return kKeys[static_cast<std::size_t>(region)];
}

const char* region_title(Region region) {
  static constexpr const char* kTitles[kRegionCount] = {"heap, live blocks",
                                                        "heap, outside live blocks (malloc's headers and top)",
                                                        "malloc blocks with their own mapping",
                                                        "main stack",
                                                        "thread stacks",
                                                        "executable and libraries",
                                                        "files the program mapped",
                                                        "memory the program mapped",
                                                        "the recorder itself",
                                                        "unknown"};
  return kTitles[static_cast<std::size_t>(region)];
}

}  // namespace faultline::analyze
