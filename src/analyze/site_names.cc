#include "analyze/site_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "analyze/attribution.h"

namespace faultline::analyze {
namespace {

constexpr std::size_t kCallers = 4;

bool is_allocation_function(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "malloc",   "calloc",        "realloc", "reallocarray",  "free",          "memalign",         "posix_memalign",
      "valloc",   "aligned_alloc", "pvalloc", "__libc_malloc", "__libc_calloc", "__libc_realloc",   "__libc_memalign",
      "cfree",    "__libc_free",   "malloc_trim"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) || name.starts_with("operator new");
}

bool is_runtime_library(const std::string& path) {
  const std::string name = base_name(path);
  return name.starts_with("libc.so") || name.starts_with("libc-2") || name.starts_with("libstdc++.so") || name.starts_with("libc++") ||
         name.starts_with("ld-linux") || name.starts_with("ld-2") || name.starts_with("libjemalloc") || name.starts_with("libtcmalloc") ||
         name.starts_with("libmimalloc") || name.starts_with("libfaultline");
}

// "void std::vector<int>::push_back(int&&)" and "__gnu_cxx::new_allocator<int>::allocate(...)" are the library's code,
// instantiated in the program. A return type may come first.
bool is_library_template(std::string_view name) {
  const std::string_view head = name.substr(0, name.find_first_of("(<"));
  if (head.starts_with("std::") || head.starts_with("__gnu_cxx::")) return true;
  const std::size_t space = head.rfind(' ');
  const std::string_view last = space == head.npos ? head : head.substr(space + 1);
  return last.starts_with("std::") || last.starts_with("__gnu_cxx::");
}

bool trimmed(const Frame& frame) {
  return is_allocation_function(frame.function) || is_runtime_library(frame.module) || (frame.named && is_library_template(frame.function));
}

void fill(SiteName& site, const Frame& frame) {
  site.function = frame.function;
  site.file = frame.file;
  site.line = frame.line;
  site.module = frame.module;
}

}  // namespace

std::string SiteName::location() const {
  if (!file.empty()) return line > 0 ? fmt::format("{}:{}", base_name(file), line) : base_name(file);
  return base_name(module);
}

std::string SiteName::line_of_text(std::string (*shown)(const std::string&)) const {
  std::string text = shown(function);
  for (std::size_t i = 0; i < depth && i < callers.size(); ++i) text += " < " + shown(callers[i]);
  const std::string place = location();
  if (!place.empty() && !text.starts_with(place + "+")) text += fmt::format(" ({})", place);
  if (!via.empty()) text += fmt::format(" via {}", shown(via));
  return text;
}

std::string SiteName::key() const {
  std::string text = fmt::format("{}|{}|{}|{}", function, file, line, module);
  for (std::size_t i = 0; i < depth && i < callers.size(); ++i) text += "|" + callers[i];
  return text;
}

SiteName name_site(std::span<const std::uint64_t> return_addresses, Symbolizer& symbolizer) {
  SiteName site;
  bool found = false;
  const Frame* innermost = nullptr;
  for (const std::uint64_t address : return_addresses) {
    for (const Frame& frame : symbolizer.caller(address)) {
      if (innermost == nullptr) innermost = &frame;
      if (found) {
        if (site.callers.size() == kCallers) return site;
        const std::string& inner = site.callers.empty() ? site.function : site.callers.back();
        if (is_runtime_library(frame.module) || frame.function == "_start" || frame.function == inner) continue;
        site.callers.push_back(frame.function);
      } else if (trimmed(frame)) {
        if (!is_allocation_function(frame.function)) site.via = frame.function;  // the outermost one: what was called
      } else {
        fill(site, frame);
        found = true;
      }
    }
  }
  if (!found && innermost != nullptr) {
    fill(site, *innermost);
    site.via.clear();
  } else if (!found) {
    site.function = "(no stack recorded)";
  }
  return site;
}

SiteName name_instruction(std::uint64_t ip, Symbolizer& symbolizer) {
  SiteName site;
  if (ip >= kKernelAddress) {
    site.function = "kernel (read, recv, ...)";
    return site;
  }
  fill(site, symbolizer.at(ip).front());
  return site;
}

}  // namespace faultline::analyze
