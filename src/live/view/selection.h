// Which row of a list is chosen, and which part of the list is on the screen.
#pragma once

#include <algorithm>
#include <cstddef>

namespace faultline::live {

struct Selection {
  std::size_t chosen = 0, first = 0;

  void move(std::ptrdiff_t by, std::size_t rows) {
    const auto last = static_cast<std::ptrdiff_t>(rows) - 1;
    chosen = static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(chosen) + by, 0, std::max<std::ptrdiff_t>(last, 0)));
  }
  // The window moves only as far as it must.
  void fit(std::size_t rows, std::size_t shown) {
    chosen = rows > 0 ? std::min(chosen, rows - 1) : 0;
    if (chosen < first) first = chosen;
    if (shown > 0 && chosen >= first + shown) first = chosen + 1 - shown;
    if (first > 0 && first + shown > rows) first = rows > shown ? rows - shown : 0;
  }
};

}  // namespace faultline::live
