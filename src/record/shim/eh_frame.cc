#include "record/shim/eh_frame.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include "record/shim/byte_reader.h"
#include "record/shim/file_view.h"
#include "record/shim/real_functions.h"

namespace faultline::shim {

namespace {

void set_bounds(CodeObject& object, const ElfW(Phdr) * headers, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const ElfW(Phdr)& p = headers[i];
    const std::uint64_t start = object.bias + p.p_vaddr;
    if (p.p_type == PT_LOAD && object.hdr >= start && object.hdr < start + p.p_filesz) {
      object.data_start = start;
      object.data_end = start + p.p_filesz;
      object.data_offset = p.p_offset;
    }
  }
}

struct Search {
  std::uint64_t pc;
  CodeObject* object;
  bool found;
};

// Only for glibc without _dl_find_object. The lock it takes is recursive, and its holders never wait for an allocation
// of another thread.
int visit_object(dl_phdr_info* info, std::size_t, void* argument) {
  Search& search = *static_cast<Search*>(argument);
  std::uint64_t low = ~std::uint64_t{0}, high = 0, hdr = 0;
  bool inside = false;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& p = info->dlpi_phdr[i];
    const std::uint64_t start = info->dlpi_addr + p.p_vaddr;
    if (p.p_type == PT_LOAD) {
      if (start < low) low = start;
      if (start + p.p_memsz > high) high = start + p.p_memsz;
      if (search.pc >= start && search.pc < start + p.p_memsz) inside = true;
    }
    if (p.p_type == PT_GNU_EH_FRAME) hdr = start;
  }
  if (!inside) return 0;
  *search.object = {low, high, hdr, 0, 0, 0, info->dlpi_addr, info->dlpi_name};
  set_bounds(*search.object, info->dlpi_phdr, info->dlpi_phnum);
  search.found = true;
  return 1;
}

}  // namespace

struct TableEntry {  // both relative to .eh_frame_hdr
  std::int32_t code, description;
};

bool find_code_object(std::uint64_t pc, CodeObject& object) {
  if (real.dl_find_object == nullptr) {
    Search search{pc, &object, false};
    dl_iterate_phdr(visit_object, &search);
    return search.found;
  }
  ::dl_find_object found;
  if (real.dl_find_object(reinterpret_cast<void*>(pc), &found) != 0) return false;
  object = {};
  object.start = reinterpret_cast<std::uint64_t>(found.dlfo_map_start);
  object.end = reinterpret_cast<std::uint64_t>(found.dlfo_map_end);
  object.hdr = reinterpret_cast<std::uint64_t>(found.dlfo_eh_frame);
  object.bias = found.dlfo_link_map->l_addr;
  object.name = found.dlfo_link_map->l_name;
  // The first load segment begins with the ELF header and the program headers in every file linkers make.
  const auto* elf = reinterpret_cast<const ElfW(Ehdr)*>(object.start);
  if (__builtin_memcmp(elf->e_ident, ELFMAG, SELFMAG) == 0 && elf->e_phoff + elf->e_phnum * sizeof(ElfW(Phdr)) <= 4096) {
    set_bounds(object, reinterpret_cast<const ElfW(Phdr)*>(object.start + elf->e_phoff), elf->e_phnum);
  }
  if (object.data_end == 0) object.hdr = 0;
  return true;
}

bool find_frame_description(const CodeObject& object, std::uint64_t pc, FrameDescription& description) {
  if (object.hdr == 0) return false;
  const std::uint64_t aside = description.aside = file_view(object);
  ByteReader header(object.hdr, object.data_end, aside);
  const std::uint8_t version = header.fixed<std::uint8_t>();
  const std::uint8_t frame_encoding = header.fixed<std::uint8_t>();
  const std::uint8_t count_encoding = header.fixed<std::uint8_t>();
  const std::uint8_t table_encoding = header.fixed<std::uint8_t>();
  constexpr std::uint8_t kDataRelativeInt32 = 0x3b;
  if (version != 1 || table_encoding != kDataRelativeInt32) return false;
  header.encoded(frame_encoding, object.hdr);
  const std::uint64_t count = header.encoded(count_encoding, object.hdr);
  const std::uint64_t table = header.at();
  if (!header.ok() || count == 0 || count > (object.data_end - table) / 8) return false;
  const auto entry = [table = table + aside](std::uint64_t index) {
    TableEntry found;
    __builtin_memcpy(&found, reinterpret_cast<const void*>(table + index * 8), sizeof found);
    return found;
  };

  const auto wanted = static_cast<std::int64_t>(pc - object.hdr);
  std::uint64_t low = 0, high = count;  // the last entry whose start is <= wanted lies in [low, high)
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (entry(middle).code <= wanted ? low : high) = middle;
  }
  const auto [start, fde_offset] = entry(low);
  if (start > wanted) return false;
  const std::uint64_t fde = object.hdr + static_cast<std::uint64_t>(fde_offset);
  if (fde < object.data_start || fde >= object.data_end) return false;

  ByteReader reader(fde, object.data_end, aside);
  const std::uint64_t length = reader.fixed<std::uint32_t>();
  const std::uint64_t id_place = reader.at();
  const std::uint64_t cie_distance = reader.fixed<std::uint32_t>();
  if (!reader.ok() || length < 4 || length >= 0xfffffff0 || cie_distance == 0) return false;
  const std::uint64_t fde_end = id_place + length;
  const std::uint64_t cie = id_place - cie_distance;
  if (fde_end > object.data_end || cie < object.data_start || cie >= object.data_end) return false;

  ByteReader common(cie, object.data_end, aside);
  const std::uint64_t cie_length = common.fixed<std::uint32_t>();
  const std::uint64_t cie_end = common.at() + cie_length;
  if (common.fixed<std::uint32_t>() != 0 || cie_end > object.data_end) return false;
  const std::uint8_t cie_version = common.fixed<std::uint8_t>();
  char augmentation[8] = {};
  for (unsigned i = 0;; ++i) {
    const char c = static_cast<char>(common.fixed<std::uint8_t>());
    if (i < sizeof augmentation) augmentation[i] = c;
    if (c == 0) break;
  }
  if (augmentation[7] != 0) return false;
  description.code_align = common.uleb();
  description.data_align = common.sleb();
  description.return_register = cie_version == 1 ? common.fixed<std::uint8_t>() : common.uleb();
  std::uint8_t pointer_encoding = 0;
  bool has_augmentation_data = false;
  if (augmentation[0] == 'z') {
    has_augmentation_data = true;
    const std::uint64_t augmentation_length = common.uleb();
    const std::uint64_t augmentation_end = common.at() + augmentation_length;
    for (const char* c = augmentation + 1; *c != 0; ++c) {
      if (*c == 'R') pointer_encoding = common.fixed<std::uint8_t>();
      if (*c == 'L') common.fixed<std::uint8_t>();
      if (*c == 'S') description.signal_frame = true;
      if (*c == 'P') {
        const std::uint8_t personality_encoding = common.fixed<std::uint8_t>();
        common.encoded(personality_encoding & 0x0f, 0);
      }
    }
    if (augmentation_end < common.at()) return false;
    common.skip(augmentation_end - common.at());
  } else if (augmentation[0] != 0) {
    return false;
  }
  description.initial = common.at();
  description.initial_end = cie_end;
  description.pointer_encoding = pointer_encoding;

  description.code_start = reader.encoded(pointer_encoding, object.hdr);
  description.code_end = description.code_start + reader.encoded(pointer_encoding & 0x0f, 0);
  if (has_augmentation_data) reader.skip(reader.uleb());
  description.instructions = reader.at();
  description.instructions_end = fde_end;
  return common.ok() && reader.ok() && pc >= description.code_start && pc < description.code_end;
}

}  // namespace faultline::shim
