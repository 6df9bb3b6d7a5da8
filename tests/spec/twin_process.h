#pragma once

#include <memory>

#include "mm/space/address_space.h"
#include "process.h"

namespace faultline::spec {

class TwinProcess : public Process {
 public:
  TwinProcess();
  // A process with these mappings already (opaque, not to be touched), placing new ones below mmap_base.
  TwinProcess(const std::vector<Mapping>& present, std::uint64_t mmap_base);
  Answer run(const Call& call) override;
  std::vector<Mapping> mappings() override;
  std::vector<Mapping> heap() override;
  std::vector<std::uint8_t> pages(std::uint64_t address, std::uint64_t bytes) override;
  mm::AddressSpace& space() { return *space_; }

 private:
  Answer run_checked(const Call& call);
  std::vector<Mapping> between(std::uint64_t start, std::uint64_t end, std::uint64_t origin);

  mm::FrameTable frames_;
  std::unique_ptr<mm::AddressSpace> space_;
};

}  // namespace faultline::spec
