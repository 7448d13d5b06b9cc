#include "core/code_version.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <elf.h>
#include <link.h>

#include "halftone/version.hpp"

namespace halftone::internal {
namespace {

constexpr std::size_t kAlignment = 4;  // of what a note holds

std::size_t aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

/// The build id among the notes at `bytes`, in hexadecimal; empty where there is none.
std::string find_build_id(const char* bytes, std::size_t size) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, bytes, sizeof note);
    const std::size_t name = sizeof note;
    const std::size_t content = name + aligned(note.n_namesz);
    const std::size_t end = content + aligned(note.n_descsz);
    if (end > size) return {};
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof "GNU" && std::memcmp(bytes + name, "GNU", 4) == 0) {
      std::string hex;
      for (std::size_t i = 0; i < note.n_descsz; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[content + i]);
        hex += "0123456789abcdef"[byte / 16];
        hex += "0123456789abcdef"[byte % 16];
      }
      return hex;
    }
    bytes += end;
    size -= end;
  }
  return {};
}

/// Whether `address` is among what `object` loads.
bool holds(const dl_phdr_info& object, std::uintptr_t address) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = object.dlpi_phdr[i];
    const std::uintptr_t begin = object.dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && address >= begin && address < begin + header.p_memsz) return true;
  }
  return false;
}

/// Of the object that this function is in: the program, or a library that it loads.
int visit(dl_phdr_info* object, std::size_t /*size*/, void* result) {
  if (!holds(*object, reinterpret_cast<std::uintptr_t>(&visit))) return 0;  // NOLINT
  auto& id = *static_cast<std::string*>(result);
  for (int i = 0; i < object->dlpi_phnum && id.empty(); ++i) {
    const ElfW(Phdr)& header = object->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    // The loader gives addresses as numbers.
    const auto* notes = reinterpret_cast<const char*>(object->dlpi_addr + header.p_vaddr);  // NOLINT
    id = find_build_id(notes, header.p_memsz);
  }
  return 1;
}

}  // namespace

const std::string& code_version() {
  static const std::string version = [] {
    std::string id;
    dl_iterate_phdr(visit, &id);
    return id.empty() ? std::string(HALFTONE_VERSION) : HALFTONE_VERSION " " + id;
  }();
  return version;
}

}  // namespace halftone::internal
