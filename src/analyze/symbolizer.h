// Recorded code addresses as functions and source lines.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyze/module_symbols.h"
#include "trace/event.h"

namespace faultline::analyze {

struct Frame {
  std::string function;  // "module+0x1234" when no symbol is known, "0x1234" when no module is
  std::string file;
  int line = 0;
  std::string module;    // path; empty if unknown
  bool named = false;    // function is a symbol's name
};

class Symbolizer {
 public:
  explicit Symbolizer(std::vector<trace::Module> modules);

  // The instruction at pc itself: a faulting ip. Inline frames innermost first; never empty.
  const std::vector<Frame>& at(std::uint64_t pc);
  // The call before a return address: the instruction ends at pc - 1.
  const std::vector<Frame>& caller(std::uint64_t return_address) { return at(return_address - 1); }
  const trace::Module* module_of(std::uint64_t pc) const;
  std::vector<std::string> problems() const;  // one line per module whose symbols could not be used

 private:
  std::vector<trace::Module> modules_;  // by start
  std::map<std::string, std::unique_ptr<ModuleSymbols>> files_;
  std::unordered_map<std::uint64_t, std::vector<Frame>> cache_;  // nodes never move
};

std::string base_name(const std::string& path);

}  // namespace faultline::analyze
