// The start and exit texts a process's shim sends (wire.h names their keys), and info blocks as JSON.
#pragma once

#include <string>
#include <string_view>

#include "trace/event.h"

namespace faultline::trace {

std::uint64_t apply_start_text(std::string_view text, ProcessInfo& process);
// Returns the tick at which its readings were taken, 0 if it does not say.
std::uint64_t apply_exit_text(std::string_view text, ProcessInfo& process);
// A note that says "recorder_range=start-end" adds a range; false for any other note.
bool apply_range_note(std::string_view text, ProcessInfo& process);
// The recorder's own mappings by name, from the text of /proc/PID/maps or smaps.
void add_ranges_from_maps(std::string_view maps, ProcessInfo& process);

// JSON of what the recorder itself knows of a process; texts of the shim stay in their records. Keys are those of the fields.
std::string to_json(const ProcessInfo& process);
std::string to_json(const Meta& meta);
// Overwrites the fields the text has. False if it is no JSON object.
bool apply_json(std::string_view json, ProcessInfo& process);
bool apply_json(std::string_view json, Meta& meta);

}  // namespace faultline::trace
