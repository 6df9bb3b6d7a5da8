// The facts of heap_wire.h as the model's accounting has them.
#pragma once

#include "heap/pins.h"

extern "C" {
#include "heap_wire.h"
}

namespace faultline::diff {

// Of an image where the owner of a slot's block is slot % kOwners, and of all others kOwners.
std::uint64_t fact_of(const heap::HeapImage& image, const heap::Accounting& account, const Op& op, heap::Address block);

// What pins must add up to.
void check_pins(const heap::HeapImage& image, const heap::Accounting& account);

}  // namespace faultline::diff
