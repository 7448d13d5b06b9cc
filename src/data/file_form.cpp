#include "data/file_form.hpp"

#include <algorithm>
#include <string_view>

#include "halftone/core/zip_index.hpp"

namespace halftone::internal {
namespace {

FileForm form_of_archive(const ZipIndex& archive) {
  const auto has = [&](std::string_view end) {
    return std::any_of(archive.entries().begin(), archive.entries().end(),
                       [&](const ZipEntry& entry) { return entry.name.ends_with(end); });
  };
  if (has("/constants.pkl")) return FileForm::TorchScript;
  if (has("/archive_format") || has("/models/model.json")) return FileForm::TorchExport;
  return has("/data.pkl") ? FileForm::TorchSave : FileForm::Unknown;
}

}  // namespace

FileForm form_of(std::span<const std::byte> file, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  constexpr std::size_t kHeader = 8;  // of safetensors: the length of the JSON that follows
  constexpr std::size_t kTarMagic = 257;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kHeader && i < file.size(); ++i)
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (text.size() > kHeader && text[kHeader] == '{' && length <= text.size() - kHeader) return FileForm::Safetensors;
  if (text.starts_with("PK\3\4")) return form_of_archive(ZipIndex(file, name));
  if (text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) return FileForm::TorchSaveOld;
  if (text.size() > kTarMagic && text.substr(kTarMagic).starts_with("ustar")) return FileForm::TorchSaveTar;
  return FileForm::Unknown;
}

}  // namespace halftone::internal
