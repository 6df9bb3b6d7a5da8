// MappingPlaces: where Linux would have put the mappings of a stream. A recorder that runs the program under its own address-space
// manager (Valgrind) puts a file's mapping wherever it is free; Linux puts one that holds a whole huge page such that huge pages
// could map it, and then no folio of the file lies in two page tables (thp_get_unmapped_area(), mm/huge_memory.c). Such mappings are
// moved to an area of their own, those of the program itself excepted: their place is in the ELF file.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace faultline::replay {

class MappingPlaces {
 public:
  // Pages [page, page + pages) of the process become a mapping of the file from `file_page` on. What lies in a moved mapping moves
  // with it, a piece of a library for one.
  void map_file(std::uint64_t page, std::uint64_t pages, std::uint32_t file, std::uint64_t file_page);
  // The same without a file.
  void map_anonymous(std::uint64_t page, std::uint64_t pages);
  // They are mapped no more; where another mapping is put there it has a place of its own.
  void unmap(std::uint64_t page, std::uint64_t pages);

  bool empty() const { return moved_.empty(); }
  std::uint64_t place(std::uint64_t page) const {
    if (page - last_.first < last_.pages) return page + last_.distance;
    return look_up(page);
  }
  // Calls visit(first, pages) for each run of [page, page + pages) that stays together.
  template <typename Visit>
  void for_each_run(std::uint64_t page, std::uint64_t pages, Visit&& visit) const {
    const std::uint64_t end = page + pages;
    do {
      const std::uint64_t placed = place(page);
      const std::uint64_t stop = std::min(end, last_.first + last_.pages);
      visit(placed, stop - page);
      page = stop;
    } while (page < end);
  }

 private:
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t pages = 0;
    std::uint64_t distance = 0;  // to its place, modulo 2^64
  };
  std::uint64_t look_up(std::uint64_t page) const;
  bool lies_in_moved(std::uint64_t page, std::uint64_t pages) const;

  std::vector<Run> moved_;  // by first page
  mutable Run last_;        // the run looked at last; one that is not moved reaches to its neighbours
  std::uint64_t next_ = std::uint64_t{0x6000'0000'0000} >> 12;
  std::uint32_t program_ = ~std::uint32_t{0};  // the file mapped first
};

}  // namespace faultline::replay
