#include "replay/limits/mapping_places.h"

namespace faultline::replay {

namespace {

constexpr std::uint64_t kHugePages = 512;  // of 4 KiB in a huge page

// __thp_get_unmapped_area(): a whole huge page of the file lies in it.
bool wants_huge(std::uint64_t pages, std::uint64_t file_page) {
  const std::uint64_t aligned = (file_page + kHugePages - 1) / kHugePages * kHugePages;
  return file_page + pages >= aligned + kHugePages;
}

}  // namespace

void MappingPlaces::map_file(std::uint64_t page, std::uint64_t pages, std::uint32_t file, std::uint64_t file_page) {
  if (program_ == ~std::uint32_t{0}) program_ = file;
  if (lies_in_moved(page, pages)) return;
  unmap(page, pages);
  if (file == program_ || !wants_huge(pages, file_page)) return;
  const std::uint64_t first = next_ + file_page % kHugePages;
  next_ = (first + pages + kHugePages) / kHugePages * kHugePages;
  const auto after = std::find_if(moved_.begin(), moved_.end(), [page](const Run& run) { return run.first > page; });
  moved_.insert(after, {page, pages, first - page});
}

void MappingPlaces::map_anonymous(std::uint64_t page, std::uint64_t pages) {
  if (!lies_in_moved(page, pages)) unmap(page, pages);
}

void MappingPlaces::unmap(std::uint64_t page, std::uint64_t pages) {
  last_ = {};
  const std::uint64_t end = page + pages;
  std::vector<Run> left;
  for (const Run& run : moved_) {
    const std::uint64_t run_end = run.first + run.pages;
    if (run.first < page) left.push_back({run.first, std::min(run_end, page) - run.first, run.distance});
    if (run_end > end) left.push_back({std::max(run.first, end), run_end - std::max(run.first, end), run.distance});
  }
  moved_ = std::move(left);
}

std::uint64_t MappingPlaces::look_up(std::uint64_t page) const {
  const auto after = std::upper_bound(moved_.begin(), moved_.end(), page, [](std::uint64_t one, const Run& run) { return one < run.first; });
  if (after != moved_.begin() && page - std::prev(after)->first < std::prev(after)->pages) {
    last_ = *std::prev(after);
  } else {
    const std::uint64_t first = after == moved_.begin() ? 0 : std::prev(after)->first + std::prev(after)->pages;
    last_ = {first, (after == moved_.end() ? ~std::uint64_t{0} : after->first) - first, 0};
  }
  return page + last_.distance;
}

bool MappingPlaces::lies_in_moved(std::uint64_t page, std::uint64_t pages) const {
  (void)look_up(page);
  return last_.distance != 0 && page + pages <= last_.first + last_.pages;
}

}  // namespace faultline::replay
