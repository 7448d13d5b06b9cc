#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// An IDX file: two zeros, the type (8: unsigned bytes), the number of dimensions, sizes, data.
inline std::string idx_bytes(const std::vector<std::uint32_t>& sizes, std::string_view data, char type = 8) {
  std::string bytes{'\0', '\0', type, static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift & 0xff);
  return bytes.append(data);
}
