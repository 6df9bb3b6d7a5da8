// A spec is a gtest fixture over this one: every test runs on this kernel and on the twin.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "kernel_process.h"
#include "twin_process.h"

namespace faultline::spec {

class SpecTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "kernel") {
      process = std::make_unique<KernelProcess>();
    } else {
      process = std::make_unique<TwinProcess>();
    }
  }
  void TearDown() override {
    if (auto* twin = dynamic_cast<TwinProcess*>(process.get()); twin != nullptr) twin->machine().check_invariants();
  }
  // How many pages of the range are in this state; see Process::pages().
  static std::size_t pages_in(Process& of, std::uint64_t address, std::uint64_t bytes, std::uint8_t state) {
    const auto found = of.pages(address, bytes);
    return static_cast<std::size_t>(std::count(found.begin(), found.end(), state));
  }
  static Mapping mapping(std::uint64_t first_page, std::uint64_t pages, std::uint32_t prot = 3) {
    return {kWindow + first_page * kPage, kWindow + (first_page + pages) * kPage, prot};
  }
  std::unique_ptr<Process> process;
};

}  // namespace faultline::spec

#define FL_INSTANTIATE_SPEC(name)                                             \
  INSTANTIATE_TEST_SUITE_P(Kernel, name, testing::Values("kernel"));          \
  INSTANTIATE_TEST_SUITE_P(Twin, name, testing::Values("twin"))
