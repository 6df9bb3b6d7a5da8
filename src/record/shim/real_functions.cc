#include "record/shim/real_functions.h"

#include <elf.h>

#include "record/shim/text.h"

namespace faultline::shim {

RealFunctions real;

namespace {

struct SymbolTables {
  const std::uint32_t* gnu_hash = nullptr;
  const std::uint32_t* sysv_hash = nullptr;
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  const std::uint16_t* versions = nullptr;
};

SymbolTables tables_of(const link_map* object) {
  SymbolTables tables;
  for (const ElfW(Dyn)* d = object->l_ld; d != nullptr && d->d_tag != DT_NULL; ++d) {
    // glibc relocates these pointers in place, except in read-only dynamic sections such as the vdso's.
    const std::uint64_t at = d->d_un.d_ptr < object->l_addr ? d->d_un.d_ptr + object->l_addr : d->d_un.d_ptr;
    switch (d->d_tag) {
      case DT_GNU_HASH: tables.gnu_hash = reinterpret_cast<const std::uint32_t*>(at); break;
      case DT_HASH: tables.sysv_hash = reinterpret_cast<const std::uint32_t*>(at); break;
      case DT_SYMTAB: tables.symbols = reinterpret_cast<const ElfW(Sym)*>(at); break;
      case DT_STRTAB: tables.names = reinterpret_cast<const char*>(at); break;
      case DT_VERSYM: tables.versions = reinterpret_cast<const std::uint16_t*>(at); break;
      default: break;
    }
  }
  return tables;
}

// Address of symbol `index` if it is a usable default definition of `name`, else 0.
std::uint64_t definition(const link_map* object, const SymbolTables& tables, std::uint32_t index, const char* name) {
  constexpr std::uint16_t kHiddenVersion = 0x8000;
  const ElfW(Sym)& symbol = tables.symbols[index];
  if (symbol.st_shndx == SHN_UNDEF || !equal(tables.names + symbol.st_name, name)) return 0;
  if (tables.versions != nullptr && (tables.versions[index] & kHiddenVersion) != 0) return 0;
  const unsigned type = ELF64_ST_TYPE(symbol.st_info);
  if (type == STT_TLS || type == STT_SECTION || type == STT_FILE) return 0;
  const std::uint64_t address = object->l_addr + symbol.st_value;
  if (type == STT_GNU_IFUNC) return reinterpret_cast<std::uint64_t (*)()>(address)();
  return address;
}

std::uint64_t find_by_gnu_hash(const link_map* object, const SymbolTables& tables, const char* name) {
  std::uint32_t hash = 5381;
  for (const char* c = name; *c != 0; ++c) hash = hash * 33 + static_cast<unsigned char>(*c);
  const std::uint32_t bucket_count = tables.gnu_hash[0], first = tables.gnu_hash[1], bloom_words = tables.gnu_hash[2];
  if (bucket_count == 0) return 0;
  const std::uint32_t* buckets = tables.gnu_hash + 4 + std::size_t{bloom_words} * 2;
  const std::uint32_t* chain = buckets + bucket_count;
  std::uint32_t index = buckets[hash % bucket_count];
  if (index < first) return 0;
  for (;; ++index) {
    const std::uint32_t entry = chain[index - first];
    if ((entry | 1) == (hash | 1)) {
      if (const std::uint64_t address = definition(object, tables, index, name)) return address;
    }
    if ((entry & 1) != 0) return 0;
  }
}

std::uint64_t find_by_sysv_hash(const link_map* object, const SymbolTables& tables, const char* name) {
  std::uint32_t hash = 0;
  for (const char* c = name; *c != 0; ++c) {
    hash = (hash << 4) + static_cast<unsigned char>(*c);
    const std::uint32_t high = hash & 0xf0000000u;
    hash = (hash ^ (high >> 24)) & ~high;
  }
  const std::uint32_t bucket_count = tables.sysv_hash[0];
  if (bucket_count == 0) return 0;
  const std::uint32_t* buckets = tables.sysv_hash + 2;
  const std::uint32_t* chain = buckets + bucket_count;
  for (std::uint32_t index = buckets[hash % bucket_count]; index != 0; index = chain[index]) {
    if (const std::uint64_t address = definition(object, tables, index, name)) return address;
  }
  return 0;
}

const char* base_name(const char* path) {
  const char* base = path;
  for (const char* c = path; *c != 0; ++c) {
    if (*c == '/') base = c + 1;
  }
  return base;
}

std::uint64_t find_next(const char* name, const link_map** where = nullptr) {
  const link_map* own = own_link_map();
  for (const link_map* object = own != nullptr ? own->l_next : nullptr; object != nullptr; object = object->l_next) {
    if (const std::uint64_t address = find_symbol(object, name)) {
      if (where != nullptr) *where = object;
      return address;
    }
  }
  return 0;
}

template <typename Function>
void set(Function& slot, std::uint64_t address) {
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(&slot), address, __ATOMIC_RELEASE);
}

}  // namespace

const link_map* first_link_map() { return _r_debug.r_map; }

const link_map* own_link_map() {
  for (const link_map* object = first_link_map(); object != nullptr; object = object->l_next) {
    if (object->l_ld == _DYNAMIC) return object;
  }
  return nullptr;
}

std::uint64_t find_symbol(const link_map* object, const char* name) {
  const SymbolTables tables = tables_of(object);
  if (tables.symbols == nullptr || tables.names == nullptr) return 0;
  if (tables.gnu_hash != nullptr) return find_by_gnu_hash(object, tables, name);
  if (tables.sysv_hash != nullptr) return find_by_sysv_hash(object, tables, name);
  return 0;
}

void find_real_functions(bool prefer_glibc) {
  const link_map* libc = nullptr;
  for (const link_map* object = first_link_map(); object != nullptr; object = object->l_next) {
    if (libc == nullptr && equal(base_name(object->l_name), "libc.so.6")) libc = object;
  }
  const link_map* allocator = nullptr;
  find_next("malloc", &allocator);
  if (prefer_glibc && libc != nullptr) allocator = libc;
  real.libc = libc;
  real.allocator = allocator;
  // libfaultline-malloc.so (src/malloc) lays out its blocks as glibc does.
  real.allocator_is_glibc = allocator != nullptr && (allocator == libc || equal(base_name(allocator->l_name), "libfaultline-malloc.so"));
  const link_map* executable = first_link_map();
  real.program_owns_malloc = executable != nullptr && find_symbol(executable, "malloc") != 0;

  // The family is taken from one object: a block must go back to the allocator it came from.
  const auto family = [allocator](const char* name) -> std::uint64_t {
    const std::uint64_t own = allocator != nullptr ? find_symbol(allocator, name) : 0;
    return own != 0 ? own : find_next(name);
  };
  set(real.calloc, family("calloc"));
  set(real.realloc, family("realloc"));
  set(real.reallocarray, family("reallocarray"));
  set(real.free, family("free"));
  set(real.memalign, family("memalign"));
  set(real.posix_memalign, family("posix_memalign"));
  set(real.aligned_alloc, family("aligned_alloc"));
  set(real.valloc, family("valloc"));
  set(real.pvalloc, family("pvalloc"));
  set(real.malloc_usable_size, family("malloc_usable_size"));
  set(real.mallopt, family("mallopt"));
  set(real.malloc_trim, family("malloc_trim"));

  set(real.dlclose, find_next("dlclose"));
  set(real.mmap, find_next("mmap"));
  set(real.munmap, find_next("munmap"));
  set(real.mremap, find_next("mremap"));
  set(real.madvise, find_next("madvise"));
  set(real.mprotect, find_next("mprotect"));
  set(real.brk, find_next("brk"));
  set(real.sbrk, find_next("sbrk"));
  set(real.execve, find_next("execve"));
  set(real.execvpe, find_next("execvpe"));
  set(real.fexecve, find_next("fexecve"));
  set(real.execveat, find_next("execveat"));
  set(real.posix_spawn, find_next("posix_spawn"));
  set(real.posix_spawnp, find_next("posix_spawnp"));
  set(real.system, find_next("system"));
  set(real.popen, find_next("popen"));
  set(real.exit_now, find_next("_exit"));
  set(real.quick_exit, find_next("quick_exit"));
  set(real.pthread_key_create, find_next("pthread_key_create"));  // before glibc 2.34 in libpthread.so.0
  set(real.pthread_setspecific, find_next("pthread_setspecific"));
  set(real.gnu_get_libc_version, find_next("gnu_get_libc_version"));
  set(real.dl_find_object, find_next("_dl_find_object"));
  set(real.malloc, family("malloc"));  // last: its presence says that all the others are there
}

}  // namespace faultline::shim
