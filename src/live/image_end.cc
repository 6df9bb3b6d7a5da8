#include "live/image_end.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/units.h"

namespace faultline::live {

std::optional<std::uint64_t> image_bytes(int file) {
  Elf64_Ehdr head{};
  if (pread(file, &head, sizeof head, 0) != sizeof head || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_phentsize != sizeof(Elf64_Phdr)) return std::nullopt;
  std::uint64_t first = ~std::uint64_t{0}, end = 0;
  for (std::size_t i = 0; i < head.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (pread(file, &segment, sizeof segment, static_cast<off_t>(head.e_phoff + i * sizeof segment)) != sizeof segment) return std::nullopt;
    if (segment.p_type != PT_LOAD) continue;
    first = std::min(first, page_floor(segment.p_vaddr));
    end = std::max(end, page_ceil(segment.p_vaddr + segment.p_memsz));
  }
  if (end <= first) return std::nullopt;
  return end - first;
}

std::optional<std::uint64_t> image_bytes(const Proc& proc, Pid pid, const std::string& path) {
  Descriptor file;
  if (path.empty() || path[0] != '/' || proc.open_file(fmt::format("{}/root{}", pid, path).c_str(), file) != Access::ok) return std::nullopt;
  return image_bytes(file.get());
}

}  // namespace faultline::live
