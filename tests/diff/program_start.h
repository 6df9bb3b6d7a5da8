// A program stopped before its first instruction: what there is to compare, on this kernel and in the twin.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace faultline::diff {

// One line of /proc/PID/maps. name: "program", "interpreter", "[stack]" ..., or empty.
struct MapsLine {
  std::uint64_t start = 0, end = 0;
  std::string rights;  // rwxp
  std::uint64_t offset = 0;
  std::string name;
  bool operator==(const MapsLine&) const = default;
  std::string to_string() const;
};

// The marks of struct mm_struct in /proc/PID/stat, by their names in proc(5).
inline constexpr std::array<std::string_view, 10> kMarks = {"startcode", "endcode",   "startstack", "start_data", "end_data",
                                                            "start_brk", "arg_start", "arg_end",    "env_start",  "env_end"};

inline constexpr std::uint64_t kResidencyLimit = 4ull << 30;  // to read /proc/PID/pagemap of terabytes takes seconds

struct ProgramStart {
  enum class Outcome { started, refused, killed };
  Outcome outcome = Outcome::refused;
  int number = 0;  // refused: errno; killed: signal
  std::vector<MapsLine> maps;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> auxv;
  std::uint64_t instruction_pointer = 0, stack_pointer = 0;
  std::array<std::uint64_t, kMarks.size()> marks{};
  std::vector<std::uint8_t> stack;         // from the stack pointer to the end of [stack]
  std::vector<std::uint64_t> resident;     // addresses of the pages that have an entry, in mappings up to kResidencyLimit
  std::uint64_t faults = 0;                // of execve
  std::uint64_t table_bytes = 0;           // VmPTE
  std::vector<MapsLine> grown;             // maps after StartRequest::grow_break
  std::uint64_t grown_break = 0;
};

// What execve is given. The environment decides nothing but the stack.
struct StartRequest {
  std::string path;
  std::vector<std::string> argv, envp;
  std::uint64_t stack_limit = 8 << 20;
  std::uint64_t address_space_limit = ~std::uint64_t{0}, data_limit = ~std::uint64_t{0};
  bool ignore_set_id = false;  // PR_SET_NO_NEW_PRIVS: set-id bits would switch ASLR on again
  unsigned long personality = 0;  // beside ADDR_NO_RANDOMIZE
  std::uint64_t grow_break = 0;   // bytes: the first thing the program does is brk(start + grow_break)
};

ProgramStart start_on_kernel(const StartRequest& request);
// Why this kernel cannot be the judge here (no ptrace, another version's rules); empty when it can.
std::string why_no_kernel();

// Everything the twin takes from the machine is input here: sizes of the kernel's clock mappings, AT_HWCAP, AT_HWCAP2,
// AT_MINSIGSTKSZ, user and group, overcommit policy and memory size; whether the file system places large mappings at huge page boundaries; and from the kernel's
// own start the 16 random bytes. All else is computed.
ProgramStart start_in_twin(const StartRequest& request, const std::array<std::uint8_t, 16>& random);
std::array<std::uint8_t, 16> random_bytes(const ProgramStart& start);

// The first difference in words; empty when there is none.
std::string difference(const ProgramStart& kernel, const ProgramStart& twin);

}  // namespace faultline::diff
