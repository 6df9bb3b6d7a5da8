// Independent draws from a Zipf distribution: rank r (0 first) with probability proportional to 1 / (r + 1)^exponent.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace faultline::bench {

inline std::vector<std::uint64_t> zipf_draws(std::uint64_t ids, double exponent, std::size_t count, std::uint64_t seed) {
  std::vector<double> upto(ids);
  double sum = 0;
  for (std::uint64_t rank = 0; rank < ids; ++rank) upto[rank] = sum += std::pow(static_cast<double>(rank + 1), -exponent);
  // guide[g]: the first rank whose upper end is above g / ids of the sum; the search goes on from there.
  std::vector<std::uint32_t> guide(ids);
  std::uint32_t rank = 0;
  for (std::uint64_t g = 0; g < ids; ++g) {
    while (upto[rank] <= sum * static_cast<double>(g) / static_cast<double>(ids)) ++rank;
    guide[g] = rank;
  }
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> draws(count);
  for (std::uint64_t& draw : draws) {
    const double at = static_cast<double>(random() >> 11) * 0x1p-53;
    std::uint32_t found = guide[static_cast<std::size_t>(at * static_cast<double>(ids))];
    while (found + 1 < ids && upto[found] <= at * sum) ++found;
    draw = found;
  }
  return draws;
}

}  // namespace faultline::bench
