#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "hostile/readers.hpp"

namespace hostile {

/// A file to damage. Parts are damaged one by one as well, before checksums and lengths around them are computed.
struct Seed {
  std::string name;
  std::vector<std::string> parts;
  std::function<std::string(const std::vector<std::string>&)> join = [](const auto& all) { return all.front(); };

  [[nodiscard]] std::string file() const { return join(parts); }
};

/// The files of one format. `good` ones must be read. `bad` ones must be read or refused, and are not damaged further:
/// bombs, cycles, depth, what one changed byte does not make.
struct Seeds {
  std::vector<Seed> good;
  std::vector<Seed> bad;
};

Seed seed(std::string name, std::string content);
Seed concatenated(std::string name, std::vector<std::string> parts);
/// `text` `count` times.
std::string repeated(std::string_view text, std::size_t count);

Seeds idx_seeds();
Seeds jpeg_seeds();
Seeds measurements_seeds();
Seeds npy_seeds();
Seeds plan_seeds();
Seeds png_seeds();
Seeds pt2_seeds();
Seeds rules_seeds();
Seeds run_seeds();
Seeds safetensors_seeds();
Seeds sensitivity_seeds();
Seeds sentence_pairs_seeds();
Seeds squad_seeds();
Seeds table_seeds();
Seeds torch_seeds();
Seeds vocabulary_seeds();

/// One format: its name, reader and files.
struct Format {
  const char* name;
  void (*read)(Bytes file);
  Seeds (*seeds)();
  std::size_t memory = 64u << 20;  ///< bytes that any file may take, beside what follows from its size
};

constexpr std::size_t kPictureMemory = 256u << 20;  ///< two copies of the most pixels that are decoded
constexpr std::size_t kPickleMemory = 400u << 20;   ///< as read_pickle says

/// Every format. A new one: a line here, read_NAME.cpp, and its seeds.
inline constexpr Format kFormats[] = {
    {"idx", read_idx, idx_seeds},
    {"jpeg", read_jpeg, jpeg_seeds, kPictureMemory},
    {"measurements", read_measurements, measurements_seeds},
    {"npy", read_npy, npy_seeds},
    {"plan", read_plan, plan_seeds},
    {"png", read_png, png_seeds, kPictureMemory},
    {"pt2", read_pt2, pt2_seeds},
    {"rules", read_rules, rules_seeds},
    {"run", read_run, run_seeds},
    {"safetensors", read_safetensors, safetensors_seeds},
    {"sensitivity", read_sensitivity, sensitivity_seeds},
    {"sentence_pairs", read_sentence_pairs, sentence_pairs_seeds},
    {"squad", read_squad, squad_seeds},
    {"table", read_table, table_seeds},
    {"torch", read_torch, torch_seeds, kPickleMemory},
    {"vocabulary", read_vocabulary, vocabulary_seeds},
};

}  // namespace hostile
