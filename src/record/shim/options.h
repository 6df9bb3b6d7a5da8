// FAULTLINE_OPTIONS: "key=value,key=value", set by the launcher.
#pragma once

#include <cstddef>

#include "record/shim/text.h"

namespace faultline::shim {

struct Options {
  bool stacks = true;          // stacks=0: no call stacks
  bool touches = true;         // touches=0: no mincore(2) before frees
  bool glibc = false;          // allocator=glibc: forward to libc.so.6 even if the program links another allocator
  bool turns = false;          // turns=1: one thread at a time in the allocator
  unsigned max_frames = 256;   // frames=N: deeper frames are cut off
};

inline Options parse_options(const char* text) {
  Options options;
  while (text != nullptr && *text != 0) {
    if (starts_with(text, "stacks=0")) options.stacks = false;
    if (starts_with(text, "touches=0")) options.touches = false;
    if (starts_with(text, "allocator=glibc")) options.glibc = true;
    if (starts_with(text, "turns=1")) options.turns = true;
    if (starts_with(text, "frames=")) {
      const char* digits = text + 7;
      const auto frames = parse_number(digits, 10);
      if (frames >= 1 && frames <= 256) options.max_frames = static_cast<unsigned>(frames);
    }
    while (*text != 0 && *text++ != ',') {
    }
  }
  return options;
}

}  // namespace faultline::shim
