#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// A safetensors file: 8 bytes of header length, header, data.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8)
    bytes += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> shift & 0xff);
  return bytes.append(header).append(data);
}
