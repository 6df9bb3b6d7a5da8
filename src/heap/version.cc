#include "heap/version.h"

#include <charconv>

namespace faultline::heap {
namespace {

Version glibc_2_36() { return {}; }

Version glibc_2_36_before_deb12u8() {
  Version v = glibc_2_36();
  v.name = "2.36-deb12u7";
  v.counts_all_cpus = false;
  v.real_run = false;
  return v;
}

Version glibc_2_35() {
  Version v = glibc_2_36();
  v.name = "2.35";
  v.counts_all_cpus = false;
  v.real_run = false;
  return v;
}

Version glibc_2_31() {
  Version v = glibc_2_36();
  v.name = "2.31";
  v.swapped_brk_fallback = false;
  v.heap_info_keeps_page = false;
  v.caps_mmap_threshold = true;
  v.grows_heap_twice = true;
  v.has_hugetlb = false;
  return v;
}

Version glibc_2_39() {
  Version v = glibc_2_36();
  v.name = "2.39";
  v.swapped_brk_fallback = false;
  v.realloc_keeps_fitting = true;
  v.memalign_takes_cached = true;
  v.strict_aligned_alloc = true;
  v.memalign_merges_parts = true;
  v.hugetlb_sets_threshold = true;
  v.real_run = false;
  return v;
}

Version glibc_2_41() {
  Version v = glibc_2_39();
  v.name = "2.41";
  v.calloc_takes_cached = true;
  v.files_small_chunks = true;
  v.real_run = true;
  return v;
}

std::vector<Version> known() {
  return {glibc_2_31(), glibc_2_35(), glibc_2_36_before_deb12u8(), glibc_2_36(), glibc_2_39(), glibc_2_41()};
}

int minor_of(std::string_view text) {
  if (!text.starts_with("2.")) return -1;
  int minor = -1;
  std::from_chars(text.data() + 2, text.data() + text.size(), minor);
  return minor;
}

}  // namespace

std::optional<Version> Version::named(std::string_view name) {
  for (const Version& version : known())
    if (version.name == name) return version;
  return std::nullopt;
}

std::vector<std::string_view> Version::names() {
  std::vector<std::string_view> names;
  for (const Version& version : known()) names.push_back(version.name);
  return names;
}

// 2.30 to 2.33 place blocks as 2.31 does, and 2.34 but for the CPUs it counts; 2.40 as 2.39. 2.37 and 2.38 have
// traits of their own (a realloc and a memalign that were taken back), older and newer ones differ in the cache.
Version::Nearest Version::nearest(std::string_view libc_version) {
  const int minor = minor_of(libc_version);
  if (minor == 35) return {glibc_2_35(), true};
  if (minor == 36) return {glibc_2_36(), true};
  if (minor == 39 || minor == 40) return {glibc_2_39(), true};
  if (minor == 41) return {glibc_2_41(), true};
  if (minor >= 30 && minor <= 33) return {glibc_2_31(), true};
  if (minor == 34) {
    Version version = glibc_2_31();
    version.counts_all_cpus = false;
    return {version, true};
  }
  if (minor >= 0 && minor < 30) return {glibc_2_31(), false};
  if (minor == 37 || minor < 0) return {glibc_2_36(), false};
  if (minor == 38) return {glibc_2_39(), false};
  return {glibc_2_41(), false};
}

}  // namespace faultline::heap
