// Symbols of this very program and of libc: checked against what the compiler knows (__LINE__) and dladdr.
#include "analyze/symbolizer.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>

#include <chrono>
#include <cstdlib>

#include "analyze/site_names.h"

namespace faultline::analyze {
namespace {

std::vector<trace::Module> own_modules() {
  std::vector<trace::Module> modules;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        trace::Module module;
        module.bias = info->dlpi_addr;
        module.path = *info->dlpi_name != '\0' ? info->dlpi_name : "/proc/self/exe";
        module.start = ~std::uint64_t{0};
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
          module.start = std::min<std::uint64_t>(module.start, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
          module.end = std::max<std::uint64_t>(module.end, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
        }
        static_cast<std::vector<trace::Module>*>(out)->push_back(module);
        return 0;
      },
      &modules);
  return modules;
}

// libc's own, even where a sanitizer puts another in front.
std::uint64_t libc_function(const char* name) {
  void* libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  return libc != nullptr ? reinterpret_cast<std::uint64_t>(dlsym(libc, name)) : 0;
}

}  // namespace

// Not in the anonymous namespace: names to look for.
std::uintptr_t outer_line;
inline __attribute__((always_inline)) std::uintptr_t symbolizer_test_inlined() {
  std::uintptr_t pc = 0;
  asm volatile("leaq 0(%%rip), %0" : "=r"(pc));
  return pc;
}
__attribute__((noinline)) std::uintptr_t symbolizer_test_outer() {
  outer_line = __LINE__ + 1;
  const std::uintptr_t pc = symbolizer_test_inlined();
  asm volatile("" : : : "memory");
  return pc;
}
__attribute__((noinline)) std::uintptr_t symbolizer_test_return_address() {
  return reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
}
__attribute__((noinline)) std::uintptr_t symbolizer_test_caller() {
  const std::uintptr_t address = symbolizer_test_return_address();
  asm volatile("" : : : "memory");  // no tail call
  return address;
}

namespace {

TEST(Symbolizer, FindsInlineFramesInnermostFirst) {
  Symbolizer symbolizer(own_modules());
  const std::vector<Frame>& frames = symbolizer.caller(symbolizer_test_outer());
  ASSERT_EQ(frames.size(), 2u);
  EXPECT_EQ(frames[0].function, "faultline::analyze::symbolizer_test_inlined()");
  EXPECT_EQ(frames[1].function, "faultline::analyze::symbolizer_test_outer()");
  EXPECT_EQ(frames[1].line, static_cast<int>(outer_line));
  EXPECT_EQ(base_name(frames[1].file), "analyze_symbolizer_test.cc");
}

TEST(Symbolizer, AReturnAddressBelongsToItsCaller) {
  Symbolizer symbolizer(own_modules());
  EXPECT_EQ(symbolizer.caller(symbolizer_test_caller()).back().function, "faultline::analyze::symbolizer_test_caller()");
}

TEST(Symbolizer, LibcFunctionsByTheirDynamicSymbols) {
  Symbolizer symbolizer(own_modules());
  const auto address = libc_function("qsort");
  ASSERT_NE(address, 0u);
  EXPECT_EQ(symbolizer.at(address).back().function, "qsort");
  EXPECT_NE(symbolizer.module_of(address), nullptr);
}

TEST(Symbolizer, AChangedFileIsSaidOnceAndShownAsModuleAndOffset) {
  std::vector<trace::Module> modules = own_modules();
  std::erase_if(modules, [](const trace::Module& module) { return module.path.find("libc.so") == std::string::npos; });
  ASSERT_EQ(modules.size(), 1u);
  modules[0].build_id = "00112233";
  Symbolizer symbolizer(modules);
  const auto address = libc_function("qsort");
  EXPECT_EQ(symbolizer.at(address).front().function.rfind("libc.so.6+0x", 0), 0u);
  symbolizer.at(address + 1);
  ASSERT_EQ(symbolizer.problems().size(), 1u);
  EXPECT_NE(symbolizer.problems()[0].find("wanted build id 00112233"), std::string::npos);
}

TEST(Symbolizer, AnAddressInNoModuleIsANumber) {
  Symbolizer symbolizer({});
  EXPECT_EQ(symbolizer.at(0x1234).front().function, "0x1234");
}

TEST(SiteNames, TrimLibraryFramesAndKeepWrappers) {
  Symbolizer symbolizer(own_modules());
  const auto libc = libc_function("fopen");
  const std::uint64_t stack[] = {libc + 4, symbolizer_test_caller()};
  const SiteName name = name_site(stack, symbolizer);
  EXPECT_EQ(name.function, "faultline::analyze::symbolizer_test_caller()");
  EXPECT_NE(name.via.find("fopen"), std::string::npos);
  const std::uint64_t only_libc[] = {libc + 4};
  EXPECT_NE(name_site(only_libc, symbolizer).function.find("fopen"), std::string::npos);
  EXPECT_EQ(name_site({}, symbolizer).function, "(no stack recorded)");
}

}  // namespace
}  // namespace faultline::analyze
