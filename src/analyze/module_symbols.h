// Symbols, lines and inline calls of one file on disk, through libdw. Addresses are those of the file (before the load
// bias). Debug information is looked for in the file and under /usr/lib/debug; nothing is fetched from a network.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace faultline::analyze {

struct CodeFrame {
  std::string function;  // demangled; empty if unknown
  std::string file;      // path as the compiler recorded it; empty if unknown
  int line = 0;
};

class ModuleSymbols {
 public:
  // A file that cannot be read, or is not ELF, or has another build id, gives a module that knows nothing:
  // problem() says why in one line.
  ModuleSymbols(const std::string& path, const std::string& build_id);
  ~ModuleSymbols();
  ModuleSymbols(const ModuleSymbols&) = delete;
  ModuleSymbols& operator=(const ModuleSymbols&) = delete;

  const std::string& problem() const { return problem_; }
  // Innermost inline frame first, the function itself last. Empty if nothing is known of the address.
  std::vector<CodeFrame> lookup(std::uint64_t address);

 private:
  struct Dwarf;
  std::unique_ptr<Dwarf> dwarf_;
  std::string problem_;
};

std::string demangle(const char* name);  // the name itself if it is not a mangled C++ name

}  // namespace faultline::analyze
