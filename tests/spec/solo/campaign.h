// Many random programs of one process with every call and limit, on this kernel and on the twin, compared word by word.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../program.h"
#include "kernel.h"
#include "twin.h"

namespace faultline::spec::solo {

// What /proc says after a program; empty where nobody asked.
struct Texts {
  std::string status, smaps, maps;
};

class Campaign {
 public:
  explicit Campaign(const Shape& shape);

  // Runs the programs of these seeds; calls report(seed, what, program) for each that differs.
  template <typename Report>
  void run(std::uint64_t first_seed, std::uint64_t count, Report&& report) {
    for (std::uint64_t done = 0; done < count;) {
      std::uint64_t bad = 0;
      const std::uint64_t good = run_batch(first_seed + done, count - done, bad);
      done += good;
      programs_ += good;
      if (bad == 0) continue;
      const std::uint64_t seed = first_seed + done;
      const Program program = random_program(seed, shape_);
      restart();
      report(seed, program);
      restart();
      ++done;
      ++programs_;
    }
  }
  // One program alone, from a fresh start: the first difference in words, or nothing.
  std::string compare(const Program& program);
  Program shrink(Program program);

  const std::string& in_batch() const { return in_batch_; }  // the difference that run() just reported, as it was seen
  std::uint64_t programs() const { return programs_; }
  std::uint64_t calls() const { return calls_; }
  const Kernel& kernel() const { return *kernel_; }

 private:
  std::uint64_t run_batch(std::uint64_t first_seed, std::uint64_t most, std::uint64_t& bad);
  static std::string difference_in_texts(std::span<const std::uint64_t> words, std::size_t& at, const Texts& twin);
  Texts twin_texts(const Watch& watch) const;
  void restart();
  Watch watch_for(std::uint64_t seed) const;

  Shape shape_;
  std::unique_ptr<Kernel> kernel_;
  std::unique_ptr<Twin> twin_;
  std::uint64_t batch_ = 16;
  std::string in_batch_;
  std::uint64_t programs_ = 0;
  std::uint64_t calls_ = 0;
};

}  // namespace faultline::spec::solo
