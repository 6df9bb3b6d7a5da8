#include "live/pressure.h"

#include <fcntl.h>

#include <charconv>

#include "live/kib_line.h"

namespace faultline::live {
namespace {

std::uint64_t total_of(std::string_view line) {
  const std::size_t at = line.find("total=");
  std::uint64_t total = 0;
  if (at != line.npos) std::from_chars(line.data() + at + 6, line.data() + line.size(), total);
  return total;
}

}  // namespace

PressureSource PressureSource::of(const Proc& proc, Pid pid) {
  PressureSource source;
  std::string text;
  if (proc.read(pid, "cgroup", text) == Access::ok) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::string_view line = take_line(rest);
      if (!line.starts_with("0::/") || line == "0::/") continue;  // the root's pressure is the machine's
      const std::string group(line.substr(3));
      Descriptor file(open(("/sys/fs/cgroup" + group + "/memory.pressure").c_str(), O_RDONLY | O_CLOEXEC));
      if (!file.open()) continue;
      source.scope_ = group;
      source.file_ = std::move(file);
      return source;
    }
  }
  source.scope_ = "machine";
  proc.open_file("pressure/memory", source.file_);
  return source;
}

std::optional<Pressure> PressureSource::read() const {
  std::string text;
  if (!file_.open() || read_all(file_.get(), text) != Access::ok) return std::nullopt;
  Pressure pressure;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.starts_with("some")) pressure.some_us = total_of(line);
    if (line.starts_with("full")) pressure.full_us = total_of(line);
  }
  return pressure;
}

}  // namespace faultline::live
