#include "analyze/module_symbols.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace faultline::analyze {
namespace {

// Like dwfl_standard_find_debuginfo, minus debuginfod: a report must never wait for a server.
int find_debuginfo(Dwfl_Module* module, void**, const char*, Dwarf_Addr, const char* file_name, const char* debuglink, GElf_Word,
                   char** debuginfo_name) {
  const unsigned char* id = nullptr;
  GElf_Addr where = 0;
  const auto attempt = [&](const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) *debuginfo_name = strdup(path.c_str());
    return fd;
  };
  if (const int size = dwfl_module_build_id(module, &id, &where); size > 1) {
    std::string path = fmt::format("/usr/lib/debug/.build-id/{:02x}/", id[0]);
    for (int i = 1; i < size; ++i) path += fmt::format("{:02x}", id[i]);
    if (const int fd = attempt(path + ".debug"); fd >= 0) return fd;
  }
  if (debuglink == nullptr || file_name == nullptr) return -1;
  const std::string file = file_name;
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  for (const std::string& path : {folder + ".debug/" + debuglink, "/usr/lib/debug" + folder + debuglink}) {
    if (const int fd = attempt(path); fd >= 0) return fd;
  }
  return -1;
}

struct Range {
  std::uint64_t low, high;
  Dwarf_Off die;
};

struct Symbol {
  std::uint64_t address, size;
  const char* name;
  bool global;
};

// The last range that starts at or below the address and holds it.
const Range* find(const std::vector<Range>& ranges, std::uint64_t address) {
  auto at = std::upper_bound(ranges.begin(), ranges.end(), address, [](std::uint64_t x, const Range& range) { return x < range.low; });
  if (at == ranges.begin() || address >= std::prev(at)->high) return nullptr;
  return &*std::prev(at);
}

void add_ranges(Dwarf_Die* die, std::vector<Range>& ranges) {
  Dwarf_Addr base = 0, low = 0, high = 0;
  for (std::ptrdiff_t at = 0; (at = dwarf_ranges(die, at, &base, &low, &high)) > 0;) {
    if (low < high) ranges.push_back({low, high, dwarf_dieoffset(die)});
  }
}

bool has_pc(Dwarf_Die* die, std::uint64_t address) { return dwarf_haspc(die, address) == 1; }

void sort_ranges(std::vector<Range>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& x, const Range& y) { return x.low < y.low; });
}

std::string function_name(Dwarf_Die* die) {
  for (const unsigned name : {unsigned{DW_AT_linkage_name}, unsigned{DW_AT_MIPS_linkage_name}}) {
    Dwarf_Attribute attribute;
    const char* mangled = dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
    // Only a mangled name says more than the source's own: libc's linkage names are "__GI_qsort".
    if (mangled != nullptr && mangled[0] == '_' && mangled[1] == 'Z') return demangle(mangled);
  }
  const char* name = dwarf_diename(die);
  return name != nullptr ? name : "";
}

}  // namespace

std::string demangle(const char* name) {
  if (name[0] != '_' || name[1] != 'Z') return name;
  int status = 0;
  char* readable = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && readable != nullptr ? readable : name;
  std::free(readable);
  return result;
}

struct ModuleSymbols::Dwarf {
  Dwfl_Callbacks callbacks{};
  Dwfl* dwfl = nullptr;
  Dwfl_Module* module = nullptr;
  ::Dwarf* dwarf = nullptr;
  Dwarf_Addr bias = 0;
  std::vector<Symbol> symbols;  // by address
  std::vector<Range> units;     // die: offset of the unit
  std::vector<std::pair<Dwarf_Off, std::vector<Range>>> functions;  // per unit already looked into, by offset

  ~Dwarf() {
    if (dwfl != nullptr) dwfl_end(dwfl);
  }

  void load_symbols() {
    const int count = dwfl_module_getsymtab(module);
    for (int i = 1; i < count; ++i) {
      GElf_Sym symbol;
      GElf_Addr address = 0;
      GElf_Word section = 0;
      const char* name = dwfl_module_getsym_info(module, i, &symbol, &address, &section, nullptr, nullptr);
      const int type = GELF_ST_TYPE(symbol.st_info);
      if (name == nullptr || *name == '\0' || section == SHN_UNDEF) continue;
      if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) continue;
      symbols.push_back({address, symbol.st_size, name, GELF_ST_BIND(symbol.st_info) == STB_GLOBAL});
    }
    // Of several names for one place the sized, then the global, then the shortest is what people know.
    std::sort(symbols.begin(), symbols.end(), [](const Symbol& x, const Symbol& y) {
      if (x.address != y.address) return x.address < y.address;
      if ((x.size == 0) != (y.size == 0)) return y.size == 0;
      if (x.global != y.global) return x.global;
      return std::strlen(x.name) < std::strlen(y.name);
    });
    symbols.erase(std::unique(symbols.begin(), symbols.end(), [](const Symbol& x, const Symbol& y) { return x.address == y.address; }),
                  symbols.end());
  }

  void load_units() {
    if (dwarf == nullptr) return;
    Dwarf_Off next = 0;
    std::size_t header = 0;
    for (Dwarf_Off at = 0; dwarf_nextcu(dwarf, at, &next, &header, nullptr, nullptr, nullptr) == 0; at = next) {
      Dwarf_Die unit;
      if (dwarf_offdie(dwarf, at + header, &unit) != nullptr) add_ranges(&unit, units);
    }
    sort_ranges(units);
  }

  static void collect(Dwarf_Die* parent, std::vector<Range>& found) {
    Dwarf_Die child;
    if (dwarf_child(parent, &child) != 0) return;
    do {
      const int tag = dwarf_tag(&child);
      if (tag == DW_TAG_subprogram) add_ranges(&child, found);
      else if (tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type) collect(&child, found);
    } while (dwarf_siblingof(&child, &child) == 0);
  }

  const std::vector<Range>& functions_of(Dwarf_Die* unit) {
    const Dwarf_Off offset = dwarf_dieoffset(unit);
    auto at = std::lower_bound(functions.begin(), functions.end(), offset, [](const auto& x, Dwarf_Off y) { return x.first < y; });
    if (at == functions.end() || at->first != offset) {
      std::vector<Range> found;
      collect(unit, found);
      sort_ranges(found);
      at = functions.insert(at, {offset, std::move(found)});
    }
    return at->second;
  }

  // Appends the inlined calls that hold the address, outermost first.
  static void inlined(Dwarf_Die* parent, std::uint64_t address, std::vector<Dwarf_Die>& chain) {
    Dwarf_Die child;
    if (dwarf_child(parent, &child) != 0) return;
    do {
      const int tag = dwarf_tag(&child);
      if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) || !has_pc(&child, address)) continue;
      if (tag == DW_TAG_inlined_subroutine) chain.push_back(child);
      Dwarf_Die inner = child;
      inlined(&inner, address, chain);
      return;
    } while (dwarf_siblingof(&child, &child) == 0);
  }

  bool by_dwarf(std::uint64_t address, std::vector<CodeFrame>& frames) {
    address -= bias;
    const Range* range = find(units, address);
    Dwarf_Die unit, function;
    if (range == nullptr || dwarf_offdie(dwarf, range->die, &unit) == nullptr) return false;
    std::string file;
    int line = 0;
    if (Dwarf_Line* at = dwarf_getsrc_die(&unit, address)) {
      if (const char* source = dwarf_linesrc(at, nullptr, nullptr)) file = source;
      dwarf_lineno(at, &line);
    }
    const Range* body = find(functions_of(&unit), address);
    if (body == nullptr || dwarf_offdie(dwarf, body->die, &function) == nullptr) {
      frames.push_back({"", file, line});
      return true;
    }
    std::vector<Dwarf_Die> chain{function};
    inlined(&function, address, chain);
    Dwarf_Files* files = nullptr;
    std::size_t file_count = 0;
    if (dwarf_getsrcfiles(&unit, &files, &file_count) != 0) file_count = 0;
    for (auto die = chain.rbegin(); die != chain.rend(); ++die) {
      frames.push_back({function_name(&*die), file, line});
      // The next frame out stands at this one's call.
      Dwarf_Attribute attribute;
      Dwarf_Word value = 0;
      file.clear();
      line = 0;
      if (dwarf_formudata(dwarf_attr(&*die, DW_AT_call_file, &attribute), &value) == 0 && value < file_count) {
        if (const char* source = dwarf_filesrc(files, value, nullptr, nullptr)) file = source;
      }
      if (dwarf_formudata(dwarf_attr(&*die, DW_AT_call_line, &attribute), &value) == 0) line = static_cast<int>(value);
    }
    return true;
  }

  std::string by_symbol(std::uint64_t address) const {
    auto at = std::upper_bound(symbols.begin(), symbols.end(), address, [](std::uint64_t x, const Symbol& symbol) { return x < symbol.address; });
    if (at == symbols.begin()) return {};
    --at;
    if (at->size != 0 && address >= at->address + at->size) return {};
    return demangle(at->name);
  }
};

ModuleSymbols::ModuleSymbols(const std::string& path, const std::string& build_id) : dwarf_(std::make_unique<Dwarf>()) {
  dwarf_->callbacks.find_elf = dwfl_build_id_find_elf;
  dwarf_->callbacks.find_debuginfo = find_debuginfo;
  dwarf_->callbacks.section_address = dwfl_offline_section_address;
  if (path.empty() || path[0] != '/') {
    problem_ = "not a file";
    return;
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    problem_ = fmt::format("the file is not there any more ({})", std::strerror(errno));
    return;
  }
  dwarf_->dwfl = dwfl_begin(&dwarf_->callbacks);
  Dwfl_Module* module = dwfl_report_elf(dwarf_->dwfl, path.c_str(), path.c_str(), fd, 0, true);  // owns fd if it succeeds
  if (module == nullptr) {
    close(fd);
    problem_ = fmt::format("wanted an ELF file, found something else ({})", dwfl_errmsg(-1));
    return;
  }
  dwfl_report_end(dwarf_->dwfl, nullptr, nullptr);
  const unsigned char* id = nullptr;
  GElf_Addr where = 0;
  std::string found;
  const int size = dwfl_module_build_id(module, &id, &where);
  for (int i = 0; i < size; ++i) found += fmt::format("{:02x}", id[i]);
  if (!build_id.empty() && found != build_id) {
    problem_ = fmt::format("the file has changed since the recording: wanted build id {}, found {}", build_id, found.empty() ? "none" : found);
    return;
  }
  dwarf_->module = module;
  dwarf_->dwarf = dwfl_module_getdwarf(module, &dwarf_->bias);
  dwarf_->load_symbols();
  dwarf_->load_units();
}

ModuleSymbols::~ModuleSymbols() = default;

std::vector<CodeFrame> ModuleSymbols::lookup(std::uint64_t address) {
  std::vector<CodeFrame> frames;
  if (dwarf_->module == nullptr) return frames;
  dwarf_->by_dwarf(address, frames);
  if (frames.empty() || frames.back().function.empty()) {
    std::string name = dwarf_->by_symbol(address);
    if (frames.empty()) frames.push_back({std::move(name), "", 0});
    else frames.back().function = std::move(name);
    if (frames.back().function.empty() && frames.back().file.empty()) frames.clear();
  }
  return frames;
}

}  // namespace faultline::analyze
