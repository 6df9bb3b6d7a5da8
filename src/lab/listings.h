// Listings: what a lab prints when one looks: processes, mappings, the heap's chunks, faults by path, a page walk.
#pragma once

#include <string>
#include <vector>

#include "lab/lab.h"

namespace faultline::lab {

std::vector<std::string> list_processes(const Lab& lab);
// /proc/PID/maps and smaps, in Linux's own format.
std::vector<std::string> list_maps(const Lab& lab, const LabProcess& process);
std::vector<std::string> list_smaps(const Lab& lab, const LabProcess& process);
std::vector<std::string> list_heap(LabProcess& process);
std::vector<std::string> list_faults(const LabProcess& process);
std::vector<std::string> list_walk(Lab& lab, const LabProcess& process, std::uint64_t address);

}  // namespace faultline::lab
