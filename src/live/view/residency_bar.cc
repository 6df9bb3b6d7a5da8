#include "live/view/residency_bar.h"

namespace faultline::live {

std::string residency_bar(const Residency& residency) {
  std::string bar;
  for (const ResidencyCell& cell : residency.cells) {
    if (cell.pages > 0 && cell.present == cell.pages) bar += '#';
    else if (cell.present > 0) bar += '+';
    else bar += cell.swapped > 0 ? '~' : '.';
  }
  return bar;
}

}  // namespace faultline::live
