// The program a lab process runs until it execs another: text, rodata, data and a bss, linked for fixed addresses, without
// an interpreter. The same on every machine.
#pragma once

#include <cstdint>
#include <vector>

namespace faultline::lab {

std::vector<std::uint8_t> built_in_program();  // the ELF file's headers; what is behind them is never read

}  // namespace faultline::lab
