#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "data/normalization.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"
#include "halftone/data/dataset.hpp"

namespace halftone {
namespace {

constexpr std::int64_t kSide = 32;
constexpr std::size_t kPlaneBytes = kSide * kSide;
constexpr std::size_t kRecordBytes = 1 + internal::kChannels * kPlaneBytes;
constexpr int kClasses = 10;

class Cifar10 final : public Dataset {
 public:
  Cifar10(const std::string& path, const ImageNormalization& normalization)
      : table_(internal::normalization_table(normalization)), file_(path), labels_(read_labels(file_)) {}

  std::int64_t size() const override { return labels_.size(0); }
  Batch get(std::span<const std::int64_t> indices) const override;
  at::Tensor targets() const override { return labels_; }
  std::string name() const override { return "cifar10:" + file_.path().string(); }

 private:
  static at::Tensor read_labels(const MappedFile& file);

  internal::NormalizationTable table_;
  MappedFile file_;
  at::Tensor labels_;
};

at::Tensor Cifar10::read_labels(const MappedFile& file) {
  const auto bytes = file.bytes();
  if (bytes.empty() || bytes.size() % kRecordBytes != 0)
    throw Error(Errc::BadFile, message("CIFAR-10 file ", file.path(), " holds ", bytes.size(),
                                       " bytes: it must be one or "
                                       "more records of ",
                                       kRecordBytes, " bytes (1 label, 3,072 pixels)"));
  const std::size_t count = bytes.size() / kRecordBytes;
  at::Tensor labels = at::empty({static_cast<std::int64_t>(count)}, at::kLong);
  auto* const out = labels.mutable_data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = std::to_integer<std::int64_t>(bytes[i * kRecordBytes]);
    if (out[i] >= kClasses)
      throw Error(Errc::BadFile, message("CIFAR-10 file ", file.path(), ": record ", i, " has label ", out[i],
                                         ": labels are 0 to 9; is this the binary version of CIFAR-10?"));
  }
  return labels;
}

Batch Cifar10::get(std::span<const std::int64_t> indices) const {
  return internal::normalized_batch(*this, indices, {kSide, kSide}, table_, [this](std::size_t index) {
    const auto* record = reinterpret_cast<const std::uint8_t*>(file_.bytes().data()) + index * kRecordBytes;
    return internal::LabelledImage{.planes = record + 1, .label = *record};
  });
}

}  // namespace

std::unique_ptr<Dataset> open_cifar10(const std::string& path, const ImageNormalization& normalization) {
  return std::make_unique<Cifar10>(path, normalization);
}

}  // namespace halftone
