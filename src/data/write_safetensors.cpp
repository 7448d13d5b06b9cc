#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <set>
#include <string>

#include "core/quoted.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/data/safetensors.hpp"

namespace halftone {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr const char* kMetadata = "__metadata__";

void check(const std::filesystem::path& path, const SafetensorsEntry& entry) {
  const auto refuse = [&](const std::string& why) {
    throw Error(Errc::InvalidArgument,
                message("tensor ", internal::quoted(entry.name), " cannot be written to ", path, ": ", why));
  };
  if (entry.name.empty() || entry.name == kMetadata) refuse("it needs another name");
  std::size_t needed = info(entry.dtype).bytes;
  for (const std::int64_t size : entry.shape) {
    if (size < 0) refuse(message("its shape holds ", size));
    needed *= static_cast<std::size_t>(size);
  }
  if (needed != entry.bytes.size())
    refuse(message("its shape needs ", needed, " bytes, and it has ", entry.bytes.size()));
}

nlohmann::json header_of(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries) {
  nlohmann::json header = nlohmann::json::object();
  std::size_t begin = 0;
  for (const SafetensorsEntry& entry : entries) {
    check(path, entry);
    const std::size_t end = begin + entry.bytes.size();
    const bool is_new = header
                            .emplace(entry.name, nlohmann::json{{"dtype", info(entry.dtype).safetensors},
                                                                {"shape", entry.shape},
                                                                {"data_offsets", {begin, end}}})
                            .second;
    if (!is_new)
      throw Error(Errc::InvalidArgument,
                  message("tensor ", internal::quoted(entry.name), " is given twice: names in ", path, " must differ"));
    begin = end;
  }
  return header;
}

std::string text_of(const std::filesystem::path& path, const nlohmann::json& header) {
  try {
    std::string text = header.dump();
    text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');  // data begins at a multiple of 8
    return text;
  } catch (const nlohmann::json::exception& error) {
    throw Error(Errc::InvalidArgument, message("names or metadata for ", path, " are no UTF-8: ", error.what()));
  }
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const SafetensorsEntry> entries,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::json header = header_of(path, entries);
  if (!metadata.empty()) header[kMetadata] = metadata;
  const std::string text = text_of(path, header);
  std::string file;
  for (std::size_t i = 0; i < kLengthBytes; ++i)
    file += static_cast<char>(static_cast<std::uint64_t>(text.size()) >> (8 * i) & 0xff);
  file += text;
  for (const SafetensorsEntry& entry : entries)
    file.append(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
  write_atomically(path, file);
}

}  // namespace halftone
