// One recorded memory call made in the twin.
#pragma once

#include <cstdint>
#include <string>

#include "mm/space/address_space.h"
#include "replay/follow/recorded_files.h"
#include "trace/event.h"

namespace faultline::replay {

// file: what an mmap with a descriptor, or shmat, maps.
// The answer as the system call's return value: -errno on refusal. `known` is false for calls the twin cannot make (their kind
// or flag is not modelled): the answer is then the recorded one.
struct TwinAnswer {
  std::int64_t value = 0;
  bool known = true;
};
TwinAnswer make_call(mm::AddressSpace& space, const trace::MemoryCall& call, const FileChoice& file);

// Whether the twin's answer is the recorded one. A full mincore vector is not compared.
bool same_answer(const trace::MemoryCall& call, const TwinAnswer& answer);

// Makes the recorded result true after the twin placed a mapping elsewhere or refused: it is taken to the recorded place.
void force_result(mm::AddressSpace& space, const trace::MemoryCall& call, const TwinAnswer& answer, const FileChoice& file);

std::string call_text(const trace::MemoryCall& call);
std::string result_text(std::int64_t value);

}  // namespace faultline::replay
