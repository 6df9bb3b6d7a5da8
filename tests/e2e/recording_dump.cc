// A recording as the kernel saw the run, as JSON for tests: recording_dump FILE.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "trace/recording.h"

using namespace faultline::trace;
using nlohmann::json;

int main(int argc, char** argv) {
  if (argc != 2) return fmt::print(stderr, "usage: recording_dump FILE\n"), 2;
  auto opened = Recording::open(argv[1]);
  if (!opened) return fmt::print(stderr, "{}\n", opened.error().message()), 2;
  Recording& recording = **opened;
  json tasks = json::array(), processes = json::object();
  std::set<Pid> pids;
  for (const TaskEvent& task : recording.tasks()) {
    const char* kinds[] = {"fork", "exec", "exit"};
    tasks.push_back({{"time_ns", task.time_ns}, {"pid", task.pid}, {"parent", task.parent}, {"kind", kinds[static_cast<int>(task.kind)]},
                     {"shares_memory", task.shares_memory}});
    pids.insert(task.pid);
  }
  for (const ProcessInfo& process : recording.processes()) pids.insert(process.pid);
  for (const Pid pid : pids) {
    json calls = json::array(), faults = json::array(), mappings = json::array();
    for (const MemoryCall& call : recording.calls_of_all_images(pid)) {
      json args = json::array();
      for (unsigned i = 0; i < std::max(argument_count(call.kind), 4u); ++i) args.push_back(call.args[i]);
      calls.push_back({{"name", call_name(call.kind)}, {"args", args}, {"result", call.result}, {"tid", call.tid}, {"begin_ns", call.begin_ns},
                       {"end_ns", call.end_ns}});
    }
    for (const FaultEvent& fault : recording.faults_of_all_images(pid)) {
      const char* accesses[] = {"unknown", "read", "write", "execute"};
      faults.push_back({{"time_ns", fault.time_ns}, {"address", fault.address}, {"ip", fault.ip}, {"tid", fault.tid},
                        {"kind", fault.kind == FaultKind::major ? "major" : "minor"}, {"access", accesses[static_cast<int>(fault.access)]}});
    }
    for (const MappingEvent& m : recording.mapping_events(pid)) {
      mappings.push_back({{"time_ns", m.time_ns}, {"start", m.start}, {"end", m.end}, {"offset", m.offset}, {"prot", m.prot}, {"flags", m.flags},
                          {"device", m.device}, {"inode", m.inode}, {"path", m.path}});
    }
    processes[std::to_string(pid)] = {{"calls", calls}, {"faults", faults}, {"mappings", mappings}};
  }
  const json out = {{"tasks", tasks}, {"processes", processes}};
  fmt::print("{}\n", out.dump(-1, ' ', false, json::error_handler_t::replace));
  return 0;
}
