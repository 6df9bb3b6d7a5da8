#include "mm/machine/process.h"

namespace faultline::mm {

Process::Process(Pid pid, Pid parent, std::shared_ptr<AddressSpace> space)
    : pid_(pid), parent_(parent), space_(std::move(space)) {}

}  // namespace faultline::mm
