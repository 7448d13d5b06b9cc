#include "data/torch_globals.hpp"

#include <algorithm>
#include <array>

namespace halftone::internal {
namespace {

constexpr auto kStorageTypes = std::to_array<StorageType>({
    {"FloatStorage", 4, DType::Float32},      {"DoubleStorage", 8, DType::Float64},
    {"HalfStorage", 2, DType::Float16},       {"BFloat16Storage", 2, DType::BFloat16},
    {"LongStorage", 8, DType::Int64},         {"IntStorage", 4, DType::Int32},
    {"ShortStorage", 2, DType::Int16},        {"CharStorage", 1, DType::Int8},
    {"ByteStorage", 1, DType::UInt8},         {"BoolStorage", 1, DType::Bool},
    {"UntypedStorage", 1, DType::UInt8},      {"_UntypedStorage", 1, DType::UInt8},
    {"ComplexFloatStorage", 8, std::nullopt}, {"ComplexDoubleStorage", 16, std::nullopt},
    {"QInt8Storage", 1, std::nullopt},        {"QUInt8Storage", 1, std::nullopt},
    {"QInt32Storage", 4, std::nullopt},       {"QUInt4x2Storage", 1, std::nullopt},
    {"QUInt2x4Storage", 1, std::nullopt},
});

/// Data only: nothing is made of them but what `torch._utils` rebuilds tensors from. The last ones stand beside weights
/// in checkpoints: numbers from NumPy and the options of training.
constexpr auto kGlobals = std::to_array<std::string_view>({
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "builtins.dict",
    "builtins.list",
    "builtins.tuple",
    "builtins.set",
    "builtins.frozenset",
    "builtins.int",
    "builtins.float",
    "builtins.bool",
    "builtins.complex",
    "builtins.str",
    "builtins.bytes",
    "builtins.bytearray",
    "_codecs.encode",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_qtensor",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.parameter.Buffer",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
    "torch.storage.TypedStorage",
    "torch.storage._TypedStorage",
    "torch.per_tensor_affine",
    "torch.per_channel_affine",
    "torch.uint16",
    "torch.uint32",
    "torch.uint64",
    "torch.complex64",
    "torch.complex128",
    "torch.float8_e4m3fn",
    "torch.float8_e5m2",
    "torch.float8_e4m3fnuz",
    "torch.float8_e5m2fnuz",
    "torch.float8_e8m0fnu",
    "torch.qint8",
    "torch.quint8",
    "torch.qint32",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "argparse.Namespace",
});

}  // namespace

const StorageType* storage_type(std::string_view global) {
  const auto dot = global.rfind('.');
  if (dot == std::string_view::npos) return nullptr;
  const auto module = global.substr(0, dot);
  if (module != "torch" && module != "torch.cuda" && module != "torch.storage") return nullptr;
  const auto* const found = std::find_if(kStorageTypes.begin(), kStorageTypes.end(),
                                         [&](const auto& type) { return type.name == global.substr(dot + 1); });
  return found == kStorageTypes.end() ? nullptr : found;
}

std::optional<DType> torch_dtype(std::string_view global) {
  for (const auto& entry : kDTypes)
    if (global.starts_with("torch.") && global.substr(6) == entry.name) return entry.dtype;
  return std::nullopt;
}

bool is_torch_global(const std::string& name) {
  return std::find(kGlobals.begin(), kGlobals.end(), name) != kGlobals.end() || storage_type(name) != nullptr ||
         torch_dtype(name).has_value();
}

}  // namespace halftone::internal
