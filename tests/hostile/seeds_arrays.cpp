// Files of plain arrays and texts.
#include "core/zip_bytes.hpp"
#include "data/gzip_bytes.hpp"
#include "data/idx_bytes.hpp"
#include "data/safetensors_bytes.hpp"
#include "hostile/seeds.hpp"
#include "hostile/vocabulary.hpp"

namespace hostile {

Seed seed(std::string name, std::string content) { return {std::move(name), {std::move(content)}}; }

Seed concatenated(std::string name, std::vector<std::string> parts) {
  return {std::move(name), std::move(parts), [](const std::vector<std::string>& all) {
            std::string file;
            for (const std::string& part : all) file += part;
            return file;
          }};
}

std::string repeated(std::string_view text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

namespace {

Seed npy(const std::string& name, const std::string& header, const std::string& data, char version = 1) {
  return {name, {header, data}, [version](const std::vector<std::string>& parts) {
            return std::string("\x93NUMPY") + version + '\0' + little_endian(parts[0].size(), version == 1 ? 2 : 4) +
                   parts[0] + parts[1];
          }};
}

Seed safetensors(const std::string& name, const std::string& header, const std::string& data) {
  return {name, {header, data}, [](const std::vector<std::string>& parts) {
            return safetensors_bytes(parts[0], parts[1]);
          }};
}

const std::string kNumbers = "0123456789abcdefghijklmn";  // 24 bytes

}  // namespace

Seeds idx_seeds() {
  const std::string images = idx_bytes({2, 3, 4}, kNumbers);
  const auto packed = [](const std::string& name, const std::string& content) {
    return Seed{name, {content}, [](const std::vector<std::string>& parts) { return gzip_bytes(parts[0]); }};
  };
  Seeds seeds;
  seeds.good = {seed("images", images), seed("labels", idx_bytes({24}, kNumbers)), seed("empty", idx_bytes({0}, "")),
                packed("packed images", images), packed("packed labels", idx_bytes({24}, kNumbers))};
  seeds.bad = {seed("overflow", idx_bytes(std::vector<std::uint32_t>(8, ~0U), kNumbers)),
               seed("huge and empty", idx_bytes({0, ~0U, ~0U, ~0U}, "")),
               seed("claims 4 GB", idx_bytes({~0U}, kNumbers)),
               packed("claims 4 GB, packed", idx_bytes({~0U}, kNumbers)),
               packed("bomb behind a small header", idx_bytes({1}, std::string(200 << 20, '\0'))),
               packed("zeros as said", idx_bytes({40 << 20}, std::string(40 << 20, '\0'))),
               seed("two members", gzip_bytes(images) + gzip_bytes(images))};
  return seeds;
}

Seeds npy_seeds() {
  const auto shaped = [](const std::string& type, const std::string& shape) {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }\n";
  };
  Seeds seeds;
  seeds.good = {npy("float32", shaped("<f4", "2, 3"), kNumbers),
                npy("big-endian", "{'descr': '>i2', 'fortran_order': True, 'shape': (3, 4)}", kNumbers),
                npy("bool", shaped("|b1", "24,"), kNumbers, 2), npy("scalar", shaped("<f8", ""), "01234567"),
                npy("empty", shaped("<i8", "0, 5"), "", 3)};
  const std::string most = "9223372036854775807";
  seeds.bad = {npy("overflow", shaped("<f8", most + ", " + most), kNumbers),
               npy("overflow beside zero", shaped("<f8", "0, " + most + ", " + most), ""),
               npy("huge and empty", shaped("<f8", "0, " + most), ""),
               npy("65 dimensions", shaped("<f4", repeated("1, ", 65)), "0123"),
               npy("a million dimensions", shaped("<f4", repeated("1, ", 1000000)), "0123", 2),
               npy("nested", repeated("{", 1000000), kNumbers, 2)};
  return seeds;
}

Seeds safetensors_seeds() {
  Seeds seeds;
  seeds.good = {safetensors("two",
                            R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],)"
                            R"("data_offsets":[0,16]},"b":{"dtype":"I64","shape":[1],"data_offsets":[16,24]}})",
                            kNumbers),
                safetensors("empty", "{}", ""),
                safetensors("zero", R"({"a":{"dtype":"BF16","shape":[0,3],"data_offsets":[0,0]}})", "")};
  seeds.bad = {
      safetensors("deep arrays", repeated("{\"a\":[", 1) + repeated("[", 500000), ""),
      safetensors("deep objects", repeated("{\"a\":", 200000), ""),
      seed("long header", little_endian(~0ULL, 8) + "{}"),
      seed("header of 100 MB", little_endian(100000000, 8) + "{}"),
      safetensors("overflow",
                  R"({"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],)"
                  R"("data_offsets":[0,24]}})",
                  kNumbers),
      safetensors("huge and empty",
                  R"({"a":{"dtype":"F64","shape":[0,9223372036854775807,3],)"
                  R"("data_offsets":[0,0]}})",
                  ""),
      safetensors("a long shape",
                  R"({"a":{"dtype":"U8","data_offsets":[0,1],"shape":[1)" + repeated(",1", 200000) + "]}}", "0")};
  return seeds;
}

Seeds sentence_pairs_seeds() {
  Seeds seeds;
  seeds.good = {
      seed("pairs", "score\tsentence1\tsentence2\n2.5\tThe cats sat.\ton a mat\n0\twho?\t\xe4\xb8\xad \xc3\xa9\r\n"),
      seed("columns", "\xEF\xBB\xBFsplit\tsentence2\tscore\tsentence1\ndev\ta\t-1e3\t[CLS] the [MASK]\n")};
  seeds.bad = {seed("long word", "score\tsentence1\tsentence2\n1\t" + repeated("a", 1000000) + "\tb\n"),
               seed("marks", "score\tsentence1\tsentence2\n1\ta" + repeated("\xcc\x81", 300000) + "\t" +
                                 repeated("[", 500000) + "\n"),
               seed("columns", repeated("\t", 1000000) + "\n" + repeated("\t", 1000000)),
               seed("lines", "score\tsentence1\tsentence2" + repeated("\n", 1000000))};
  return seeds;
}

Seeds vocabulary_seeds() {
  Seeds seeds;
  seeds.good = {seed("small", std::string(kVocabulary))};
  seeds.bad = {seed("long token", std::string(kVocabulary) + repeated("\xf0\x9f\x98\x80", 250000)),
               seed("continuations", repeated("##", 500000)), seed("lines", repeated("\n", 1000000)),
               seed("zero bytes", std::string(kVocabulary) + std::string(1000, '\0'))};
  return seeds;
}

}  // namespace hostile
