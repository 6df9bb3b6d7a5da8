#include "record/shim/modules.h"

#include <elf.h>
#include <link.h>

#include "record/shim/byte_reader.h"
#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/real_functions.h"
#include "record/shim/text.h"

namespace faultline::shim {

namespace {

constexpr unsigned kMaxModules = 4096;
std::atomic<std::uint64_t> announced[kMaxModules];
char executable[1024];

// True if this call is the first to name `start`.
bool insert(std::uint64_t start) {
  const std::uint64_t home = (start >> 12) * 0x9e3779b97f4a7c15u >> 52;
  for (unsigned i = 0; i < kMaxModules; ++i) {
    std::atomic<std::uint64_t>& slot = announced[(home + i) % kMaxModules];
    std::uint64_t found = slot.load(std::memory_order_relaxed);
    if (found == start) return false;
    if (found != 0) continue;
    if (slot.compare_exchange_strong(found, start)) return true;
    if (found == start) return false;
  }
  return false;
}

}  // namespace

BuildId find_build_id(const CodeObject& object) {
  const auto* elf = reinterpret_cast<const ElfW(Ehdr)*>(object.start);
  if (object.start != 0 && __builtin_memcmp(elf->e_ident, ELFMAG, SELFMAG) == 0 &&
      elf->e_phoff + elf->e_phnum * sizeof(ElfW(Phdr)) <= 4096) {
    const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(object.start + elf->e_phoff);
    for (unsigned i = 0; i < elf->e_phnum; ++i) {
      if (headers[i].p_type != PT_NOTE) continue;
      const std::uint64_t start = object.bias + headers[i].p_vaddr;
      if (start < object.start || start + headers[i].p_filesz > object.end) continue;
      ByteReader reader(start, start + headers[i].p_filesz);
      while (!reader.done()) {
        const std::uint32_t name_bytes = reader.fixed<std::uint32_t>(), data_bytes = reader.fixed<std::uint32_t>();
        const std::uint32_t type = reader.fixed<std::uint32_t>();
        const std::uint64_t name = reader.at();
        reader.skip((std::uint64_t{name_bytes} + 3) & ~std::uint64_t{3});
        const std::uint64_t data = reader.at();
        reader.skip((std::uint64_t{data_bytes} + 3) & ~std::uint64_t{3});
        if (reader.ok() && type == NT_GNU_BUILD_ID && name_bytes == 4 && equal(reinterpret_cast<const char*>(name), "GNU")) {
          return {data, data_bytes};
        }
      }
    }
  }
  return {};
}

std::size_t read_build_id(const CodeObject& object, char* out, std::size_t size) {
  Text text(out, size);
  const BuildId id = find_build_id(object);
  if (id.bytes != 0) text.add_hex_bytes(reinterpret_cast<const unsigned char*>(id.start), id.bytes < 64 ? id.bytes : 64);
  text.c_str();
  return text.size();
}

const char* executable_path() {
  if (executable[0] == 0) {
    const long length = raw_syscall(SYS_readlink, address_of("/proc/self/exe"), address_of(executable), sizeof executable - 1);
    executable[length > 0 ? length : 0] = 0;
  }
  return executable;
}

void announce_module(ThreadRing& ring, const CodeObject& object) {
  if (!insert(object.start)) return;
  const char* path = object.name != nullptr && *object.name != 0 ? object.name : executable_path();
  char build_id[136];
  const std::size_t id_length = read_build_id(object, build_id, sizeof build_id);
  std::size_t path_length = length_of(path);
  if (path_length > 4096) path_length = 4096;
  std::uint8_t* out = reserve(ring, 64 + path_length + id_length);
  if (out == nullptr) return;
  *out++ = static_cast<std::uint8_t>(wire::RecordKind::module);
  out = wire::put_varint(out, object.start);
  out = wire::put_varint(out, object.end);
  out = wire::put_varint(out, object.bias);
  out = wire::put_varint(out, path_length);
  __builtin_memcpy(out, path, path_length);
  out = wire::put_varint(out + path_length, id_length);
  __builtin_memcpy(out, build_id, id_length);
  commit(ring, out + id_length);
}

void announce_loaded_modules(ThreadRing& ring) {
  for (const link_map* map = first_link_map(); map != nullptr; map = map->l_next) {
    CodeObject object;
    if (find_code_object(reinterpret_cast<std::uint64_t>(map->l_ld), object)) announce_module(ring, object);
  }
}

void forget_announced_modules() {
  for (auto& slot : announced) slot.store(0, std::memory_order_relaxed);
}

}  // namespace faultline::shim
