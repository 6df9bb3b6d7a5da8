#include "pattern.h"

#include <array>
#include <cmath>
#include <vector>

namespace faultline::bench {

namespace {

constexpr std::uint64_t kMiB = 256;  // pages

void fill(PatternSink& sink, unsigned region, std::uint64_t pages) {
  for (std::uint64_t page = 0; page < pages; ++page) sink.touch(region, page, true);
}

// Zipf by inversion of the continuous law; ranks are scattered over the region, so that hot pages are not neighbours.
std::uint64_t zipf(Draw& draw, std::uint64_t pages, double exponent) {
  const double power = 1.0 - exponent;
  const double n = static_cast<double>(pages);
  const double rank = std::pow(draw.unit() * (std::pow(n, power) - 1.0) + 1.0, 1.0 / power) - 1.0;
  return static_cast<std::uint64_t>(rank) % pages * 7919 % pages;
}

void cycle_write(PatternSink& sink, Draw&) {
  sink.map(0, 256 * kMiB);
  for (int pass = 0; pass < 4; ++pass) fill(sink, 0, 256 * kMiB);
}

void cycle_read(PatternSink& sink, Draw&) {
  sink.map(0, 256 * kMiB);
  fill(sink, 0, 256 * kMiB);
  for (int pass = 0; pass < 3; ++pass) {
    for (std::uint64_t page = 0; page < 256 * kMiB; ++page) sink.touch(0, page, false);
  }
}

void uniform(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 150 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int i = 0; i < 100'000; ++i) sink.touch(0, draw.below(pages), true);
}

void cubed(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 150 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int i = 0; i < 400'000; ++i) {
    const double u = draw.unit();
    sink.touch(0, static_cast<std::uint64_t>(static_cast<double>(pages) * u * u * u) * 7919 % pages, true);
  }
}

void zipf_write(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 128 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int i = 0; i < 600'000; ++i) sink.touch(0, zipf(draw, pages, 0.9), true);
}

// Nine of ten touches read: pages stay equal to their slots, and go without being written again.
void zipf_read_mostly(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 128 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int i = 0; i < 600'000; ++i) sink.touch(0, zipf(draw, pages, 0.8), draw.below(10) == 0);
}

// The hot tenth moves on three times.
void phases(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 160 * kMiB, hot = pages / 5;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (std::uint64_t phase = 0; phase < 4; ++phase) {
    for (int i = 0; i < 150'000; ++i) {
      const bool in_hot = draw.below(20) != 0;
      sink.touch(0, in_hot ? (phase * hot + draw.below(hot)) % pages : draw.below(pages), true);
    }
  }
}

// Stretches of 1 to 64 pages at random places: what scans of trees and tables look like.
void stretches(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 160 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t first = draw.below(pages - 64), length = 1 + draw.below(64);
    for (std::uint64_t page = first; page < first + length; ++page) sink.touch(0, page, draw.below(2) == 0);
  }
}

// A file is read once through a mapping while anonymous memory is used at random.
void file_and_anonymous(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 96 * kMiB, file = 128 * kMiB;
  sink.map(0, pages);
  sink.map_file(1, file);
  fill(sink, 0, pages);
  for (std::uint64_t page = 0; page < file; ++page) {
    sink.touch(1, page, false);
    for (int i = 0; i < 4; ++i) sink.touch(0, zipf(draw, pages, 0.9), true);
  }
}

// read(2) of a file again and again beside a hot set.
void file_read_loop(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 64 * kMiB, file = 96 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int pass = 0; pass < 3; ++pass) {
    for (std::uint64_t page = 0; page < file; page += 16) {
      sink.read_file(page, 16);
      for (int i = 0; i < 8; ++i) sink.touch(0, zipf(draw, pages, 1.1), true);
    }
  }
}

// A snapshot as databases take it: the child reads everything while the parent waits, then the parent writes.
void fork_snapshot(PatternSink& sink, Draw& draw) {
  const std::uint64_t pages = 128 * kMiB;
  sink.map(0, pages);
  fill(sink, 0, pages);
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t seed = draw.next();
    sink.fork([&] {
      Draw own(seed);
      for (std::uint64_t page = 0; page < pages; ++page) sink.touch(0, page, own.below(4) == 0);
    });
    for (int i = 0; i < 60'000; ++i) sink.touch(0, zipf(draw, pages, 0.9), true);
  }
}

// Regions come and go, as a program with large blocks has them.
void churn(PatternSink& sink, Draw& draw) {
  std::array<std::uint64_t, 64> sizes{};
  for (int i = 0; i < 600; ++i) {
    const auto region = static_cast<unsigned>(draw.below(sizes.size()));
    if (sizes[region] != 0) sink.unmap(region);
    sizes[region] = 64 + draw.below(8 * kMiB / 4);
    sink.map(region, sizes[region]);
    fill(sink, region, sizes[region]);
    for (int k = 0; k < 300; ++k) {
      const auto other = static_cast<unsigned>(draw.below(sizes.size()));
      if (sizes[other] != 0) sink.touch(other, draw.below(sizes[other]), draw.below(3) != 0);
    }
  }
}

constexpr Pattern kPatterns[] = {
    {"cycle-write", true, 256 * kMiB, 0, cycle_write},
    {"cycle-read", true, 256 * kMiB, 0, cycle_read},
    {"uniform", true, 150 * kMiB, 0, uniform},
    {"cubed", true, 150 * kMiB, 0, cubed},
    {"zipf-write", false, 128 * kMiB, 0, zipf_write},
    {"zipf-read-mostly", false, 128 * kMiB, 0, zipf_read_mostly},
    {"phases", true, 160 * kMiB, 0, phases},
    {"stretches", false, 160 * kMiB, 0, stretches},
    {"file-and-anonymous", true, 160 * kMiB, 128 * kMiB, file_and_anonymous},
    {"file-read-loop", true, 128 * kMiB, 96 * kMiB, file_read_loop},
    {"fork-snapshot", false, 160 * kMiB, 0, fork_snapshot},
    {"churn", false, 70 * kMiB, 0, churn},
};

}  // namespace

std::span<const Pattern> patterns() { return kPatterns; }

}  // namespace faultline::bench
