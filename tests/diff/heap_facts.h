// The facts of heap_wire.h as the model's accounting has them.
#pragma once

#include "heap/accounting.h"

extern "C" {
#include "heap_wire.h"
}

namespace faultline::diff {

std::uint64_t fact_of(const heap::Accounting& account, const heap::HeapState& main, std::uint64_t fact, std::uint64_t number);

}  // namespace faultline::diff
