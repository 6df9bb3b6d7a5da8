#pragma once

namespace faultline::allocator {

void watch_forks();

}  // namespace faultline::allocator
