#include "analyze/symbolizer.h"

#include <fmt/format.h>

#include <algorithm>

namespace faultline::analyze {

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Symbolizer::Symbolizer(std::vector<trace::Module> modules) : modules_(std::move(modules)) {
  std::stable_sort(modules_.begin(), modules_.end(), [](const auto& x, const auto& y) { return x.start < y.start; });
}

const trace::Module* Symbolizer::module_of(std::uint64_t pc) const {
  auto at = std::upper_bound(modules_.begin(), modules_.end(), pc, [](std::uint64_t x, const auto& module) { return x < module.start; });
  if (at == modules_.begin() || pc >= std::prev(at)->end) return nullptr;
  return &*std::prev(at);
}

const std::vector<Frame>& Symbolizer::at(std::uint64_t pc) {
  if (const auto cached = cache_.find(pc); cached != cache_.end()) return cached->second;
  std::vector<Frame>& frames = cache_[pc];
  const trace::Module* module = module_of(pc);
  if (module == nullptr) {
    frames.push_back({fmt::format("{:#x}", pc), "", 0, "", false});
    return frames;
  }
  std::unique_ptr<ModuleSymbols>& file = files_[module->path];
  if (file == nullptr) file = std::make_unique<ModuleSymbols>(module->path, module->build_id);
  for (CodeFrame& code : file->lookup(pc - module->bias)) {
    const bool named = !code.function.empty();
    frames.push_back({std::move(code.function), std::move(code.file), code.line, module->path, named});
  }
  if (frames.empty()) frames.push_back({"", "", 0, module->path, false});
  for (Frame& frame : frames) {
    if (!frame.named) frame.function = fmt::format("{}+{:#x}", base_name(module->path), pc - module->bias);
  }
  return frames;
}

std::vector<std::string> Symbolizer::problems() const {
  std::vector<std::string> lines;
  for (const auto& [path, file] : files_) {
    if (path.empty() || path[0] != '/') continue;  // [vdso]: nobody expects a file
    if (!file->problem().empty()) lines.push_back(fmt::format("no function names for {}: {}", path, file->problem()));
  }
  return lines;
}

}  // namespace faultline::analyze
