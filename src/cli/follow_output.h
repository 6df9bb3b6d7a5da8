// What `verify` prints of replay::Follow.
#pragma once

#include <nlohmann/json.hpp>

#include "replay/follow/follow.h"

namespace faultline::cli {

nlohmann::ordered_json follow_json(const replay::Follow& follow);
void print_follow(const replay::Follow& follow);

}  // namespace faultline::cli
