// The mappings of one process on the screen, with what changed since the refresh before.
#pragma once

#include <string>
#include <vector>

#include "live/mapping_change.h"
#include "live/process_watch.h"
#include "live/view/selection.h"
#include "live/view/terminal_screen.h"

namespace faultline::live {

enum class MappingOrder : std::uint8_t { rss, change, address };

class MappingsScreen {
 public:
  MappingsScreen(const Proc& proc, Pid pid) : proc_(&proc), watch_(proc, pid), pid_(pid) {}

  void refresh();
  void draw(TerminalScreen& screen);
  bool key(int key, int rows);  // false: not one of its keys

 private:
  const Proc* proc_;
  ProcessWatch watch_;
  Pid pid_;
  std::optional<WatchSample> sample_;
  std::string command_, why_not_;
  std::vector<Place> places_;
  std::vector<MappingChange> changes_;
  MappingOrder order_ = MappingOrder::rss;
  Selection selection_;
  bool looked_ = false;

  void sort();
};

}  // namespace faultline::live
