#include "data/file_form.hpp"

#include <string_view>

namespace halftone::internal {

FileForm form_of(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  constexpr std::size_t kHeader = 8;  // of safetensors: the length of the JSON that follows
  constexpr std::size_t kTarMagic = 257;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kHeader && i < file.size(); ++i)
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (text.size() > kHeader && text[kHeader] == '{' && length <= text.size() - kHeader) return FileForm::Safetensors;
  if (text.starts_with("PK\3\4")) return FileForm::Zip;
  if (text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) return FileForm::Pickle;
  if (text.size() > kTarMagic && text.substr(kTarMagic).starts_with("ustar")) return FileForm::Tar;
  return FileForm::Unknown;
}

}  // namespace halftone::internal
