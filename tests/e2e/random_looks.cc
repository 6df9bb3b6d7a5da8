// Replays a recording and looks at its heap at random events: every arena must add up, and pins to what they hold.
//   random_looks RECORDING LOOKS SEED        prints the looks, the arenas and the heap events
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "base/assert.h"
#include "heap/pins.h"
#include "replay/heap_looks.h"
#include "replay/replayer.h"
#include "replay/session.h"

int main(int argc, char** argv) {
  using namespace faultline;
  if (argc != 4) return 2;
  const auto session = replay::open_session(argv[1]);
  if (!session) {
    fmt::print(stderr, "{}\n", session.error().message());
    return 1;
  }
  const replay::Program& program = session->program;
  replay::HeapLooks looks;
  std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
  for (int i = 0; i < std::atoi(argv[2]); ++i) looks.wanted.push_back(random() % (program.events.size() + 1));
  std::sort(looks.wanted.begin(), looks.wanted.end());
  replay::ReplayPlan plan;
  plan.placement = replay::Placement::recorded;
  plan.looks = &looks;
  replay::replay(program, replay::recorded_parameters(program), plan);
  std::size_t arenas = 0;
  for (const replay::HeapLook& look : looks.seen) {
    const heap::Accounting account = heap::account(look.image);  // asserts that each arena adds up
    std::uint64_t held = 0;
    for (const heap::PagePin& pin : heap::pins_of(look.image).pages) held += pin.held.bytes;
    FL_ASSERT(held == account.total[heap::Part::pinned].bytes);
    arenas = std::max(arenas, account.arenas.size());
  }
  fmt::print("{} {} {} {} {}\n", looks.seen.size(), arenas, program.events.size(), looks.addresses_matched, looks.addresses_total);
}
