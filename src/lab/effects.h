// Effects: what one command did, in the order it happened: system calls with their answers, faults with their path. Counters
// of frames and page tables are compared before and after by the Lab.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mm/errno.h"
#include "mm/space/address_space.h"

namespace faultline::lab {

// Faults of one path on neighbouring pages, one after the other.
struct FaultRun {
  std::uint64_t first = 0;  // page addresses
  std::uint64_t last = 0;
  mm::FaultPath path{};
  bool major = false;
  std::uint64_t count = 0;
};

class Effects {
 public:
  // The call's name, for counting, and how it reads: "brk(0x426000) = 0x426000".
  void call(const std::string& name, std::string text);
  void fault(std::uint64_t address, mm::FaultPath path, bool major);
  void kernel_faults(std::uint64_t count, mm::FaultPath path);  // on pages the kernel touched itself, known only by number
  void refuse(mm::Errno error) { error_ = error; }
  void signal(std::string name) { signal_ = std::move(name); }  // SIGSEGV, SIGBUS, SIGKILL, SIGABRT
  void note(std::string line) { lines_.push_back(std::move(line)); }  // behind calls and faults

  // Above calls and faults.
  void first_note(std::string line) { lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(first_notes_++), std::move(line)); }

  std::uint64_t calls() const { return calls_; }
  std::uint64_t calls(const std::string& name) const;
  std::uint64_t faults() const { return faults_; }
  const std::optional<mm::Errno>& error() const { return error_; }
  const std::string& signal() const { return signal_; }
  std::uint64_t seen(mm::FaultPath path) const { return by_path_[static_cast<std::size_t>(path)]; }

  std::vector<std::string> to_lines() const;  // without indentation; long lists are cut and say so

 private:
  std::vector<std::string> lines_;
  std::size_t first_notes_ = 0;
  std::vector<std::string> call_texts_;
  std::map<std::string, std::uint64_t> counts_;
  std::uint64_t calls_ = 0;
  std::vector<FaultRun> runs_;
  std::array<std::uint64_t, mm::kFaultPaths> by_path_{};
  std::vector<std::string> kernel_texts_;
  std::uint64_t faults_ = 0;
  std::uint64_t faults_not_shown_ = 0;
  std::optional<mm::Errno> error_;
  std::string signal_;
};

}  // namespace faultline::lab
