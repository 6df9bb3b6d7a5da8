#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "record/recorder.h"

namespace faultline::record {

Result<std::string> find_shim() {
  constexpr const char* kName = "libfaultline-shim.so";
  if (const char* named = std::getenv("FAULTLINE_SHIM"); named != nullptr && *named != 0) {
    if (access(named, R_OK) == 0) return std::string(named);
    return fail(make_error("FAULTLINE_SHIM={}: cannot be read", named));
  }
  std::error_code error;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::filesystem::path> places;
  for (const char* folder : {".", "../lib/faultline", "../lib", "../record/shim"}) places.push_back(here / folder / kName);
#ifdef FAULTLINE_SHIM_PATH
  places.emplace_back(FAULTLINE_SHIM_PATH);
#endif
  for (const auto& place : places) {
    if (access(place.c_str(), R_OK) == 0) return place.lexically_normal().string();
  }
  return fail(make_error("cannot find {}: looked beside {} and in its lib folder (FAULTLINE_SHIM names another place)", kName, here.string()));
}

}  // namespace faultline::record
