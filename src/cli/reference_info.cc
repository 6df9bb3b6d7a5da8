#include "cli/reference_info.h"

#include <nlohmann/json.hpp>

#include "analyze/reference_summary.h"
#include "cli/command.h"
#include "trace/references/reference_file.h"

namespace faultline::cli {
namespace {

using nlohmann::ordered_json;
using trace::ReferenceKind;

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

ordered_json to_json(const trace::ReferenceStreamFile& file, const analyze::ReferenceSummary& summary, const std::string& path) {
  ordered_json files = ordered_json::array(), processes = ordered_json::array();
  for (const trace::ReferenceFile& entry : file.files()) files.push_back({{"path", entry.path}, {"size_pages", entry.pages}});
  for (std::size_t i = 0; i < std::max(summary.processes.size(), file.processes().size()); ++i) {
    const trace::ReferenceProcess named = i < file.processes().size() ? file.processes()[i] : trace::ReferenceProcess{};
    const auto counted = i < summary.processes.size() ? summary.processes[i] : analyze::ReferenceSummary::Process{};
    processes.push_back({{"process", i}, {"pid", named.pid == 0 ? ordered_json(nullptr) : ordered_json(named.pid)}, {"command", named.command},
                         {"touches", counted.touches}, {"distinct_pages", counted.distinct_pages}});
  }
  const std::uint64_t references = summary.touches + summary.dropped;
  return {{"file", path},
          {"file_bytes", file.file_bytes()},
          {"kind", "reference stream"},
          {"format", file.origin().format},
          {"source", file.origin().source},
          {"window_pages", file.window()},
          {"has_mappings", file.has_mappings()},
          {"events", summary.events},
          {"references", references},
          {"touches", summary.touches},
          {"dropped", summary.dropped},
          {"reads", summary.count(ReferenceKind::read)},
          {"writes", summary.count(ReferenceKind::write)},
          {"executes", summary.count(ReferenceKind::execute)},
          {"distinct_pages", summary.distinct_pages},
          {"bytes_per_touch", summary.touches == 0 ? ordered_json(nullptr) : ordered_json(static_cast<double>(file.file_bytes()) / static_cast<double>(summary.touches))},
          {"calls", {{"map", summary.count(ReferenceKind::map)}, {"unmap", summary.count(ReferenceKind::unmap)},
                     {"discard", summary.count(ReferenceKind::discard)}, {"protect", summary.count(ReferenceKind::protect)},
                     {"file_read", summary.count(ReferenceKind::file_read)}, {"file_write", summary.count(ReferenceKind::file_write)},
                     {"fork", summary.count(ReferenceKind::fork)}, {"exit", summary.count(ReferenceKind::exit)},
                     {"move", summary.count(ReferenceKind::move)}}},
          {"file_read_pages", summary.file_read_pages},
          {"file_write_pages", summary.file_write_pages},
          {"processes", processes},
          {"files", files},
          {"remarks", file.remarks()},
          {"damage", file.damage() ? ordered_json(*file.damage()) : ordered_json(nullptr)}};
}

void print(const trace::ReferenceStreamFile& file, const analyze::ReferenceSummary& summary, const std::string& path) {
  fmt::print("{}: reference stream, {:.2f} MiB, from {}: {}\n", path, mib(file.file_bytes()), file.origin().format, file.origin().source);
  fmt::print("touches:  {} of pages ({} read, {} write, {} execute) for {} references; repeats left out ({} pages window)\n", summary.touches,
             summary.count(ReferenceKind::read), summary.count(ReferenceKind::write), summary.count(ReferenceKind::execute),
             summary.touches + summary.dropped, file.window());
  fmt::print("pages:    {} distinct ({:.1f} MiB)\n", summary.distinct_pages, static_cast<double>(summary.distinct_pages) / 256);
  if (summary.touches > 0) fmt::print("size:     {:.3f} bytes per touch\n", static_cast<double>(file.file_bytes()) / static_cast<double>(summary.touches));
  if (file.has_mappings()) {
    fmt::print("calls:    {} map, {} unmap, {} discard, {} protect, {} fork, {} exit\n", summary.count(ReferenceKind::map),
               summary.count(ReferenceKind::unmap), summary.count(ReferenceKind::discard), summary.count(ReferenceKind::protect),
               summary.count(ReferenceKind::fork), summary.count(ReferenceKind::exit));
    fmt::print("files:    {} named; {} reads of {} pages, {} writes of {} pages by call\n", file.files().size(),
               summary.count(ReferenceKind::file_read), summary.file_read_pages, summary.count(ReferenceKind::file_write), summary.file_write_pages);
  } else {
    fmt::print("calls:    not part of it: every page is anonymous memory, mapped from the start\n");
  }
  for (std::size_t i = 0; i < summary.processes.size(); ++i) {
    const trace::ReferenceProcess named = i < file.processes().size() ? file.processes()[i] : trace::ReferenceProcess{};
    fmt::print("process {}{}: {} touches, {} distinct pages{}\n", i, named.pid == 0 ? "" : fmt::format(" (pid {})", named.pid),
               summary.processes[i].touches, summary.processes[i].distinct_pages, named.command.empty() ? "" : ": " + named.command);
  }
  for (const std::string& line : file.remarks()) fmt::print("not in it: {}\n", line);
  if (file.damage()) fmt::print("damage: {}\n", *file.damage());
}

}  // namespace

Result<int> print_reference_info(const std::string& path, bool json) {
  FL_TRY(const auto file, trace::ReferenceStreamFile::open(path));
  FL_TRY(const analyze::ReferenceSummary summary, analyze::summarize(*file));
  if (json) {
    fmt::print("{}\n", to_json(*file, summary, path).dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    print(*file, summary, path);
  }
  return kDone;
}

}  // namespace faultline::cli
