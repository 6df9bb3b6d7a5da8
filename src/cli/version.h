#pragma once

namespace faultline::cli {
inline constexpr char kVersion[] = FAULTLINE_VERSION;
}
