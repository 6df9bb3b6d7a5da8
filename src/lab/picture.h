// The address space of a lab process as a picture, low to high: one line a mapping, with a bar of its pages.
//
//   #  every page of the cell has a frame       +  some have          .  none was touched
//   H  a huge page (or a part)
//   s  frames shared with another process       0  the zero page      g  guard pages
#pragma once

#include <string>
#include <vector>

#include "lab/lab_process.h"

namespace faultline::lab {

class Lab;

std::vector<std::string> picture_of(Lab& lab, LabProcess& process);
std::string_view picture_legend();

// What a mapping is called: heap, stack, text, a block's name, a file's ...
std::string name_of_mapping(const Lab& lab, const LabProcess& process, const mm::Vma& vma);

// How the pages of [start, end) stand.
struct Residency {
  std::uint64_t pages = 0;
  std::uint64_t frames = 0;  // pages with a frame
  std::uint64_t shared = 0;  // of those: frames that other entries map too
  std::uint64_t huge = 0;    // of those: parts of huge pages
  std::uint64_t zero = 0;    // show the zero page
  std::uint64_t guards = 0;
  std::string to_string() const;  // "2 of 33 pages, 1 zero page"
};
Residency residency(const mm::AddressSpace& space, std::uint64_t start, std::uint64_t end);

}  // namespace faultline::lab
