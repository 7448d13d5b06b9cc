#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "halftone/data/safetensors.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

constexpr std::array<std::byte, 24> kBytes{std::byte{1}, std::byte{2}, std::byte{255}};

SafetensorsEntry entry(const std::string& name, DType dtype, const std::vector<std::int64_t>& shape,
                       std::size_t bytes) {
  return {name, dtype, shape, std::span(kBytes).first(bytes)};
}

}  // namespace

TEST_CASE("what is written to a safetensors file is read again, in its order") {
  const TempDir dir;
  const std::vector<SafetensorsEntry> entries{
      entry("b.weight", DType::Float32, {2, 3}, 24), entry("a \"quoted\"", DType::BFloat16, {3}, 6),
      entry("count", DType::Int64, {}, 8), entry("none", DType::Bool, {0, 4}, 0)};
  write_safetensors(dir / "x.safetensors", entries, {{"format", "pt"}});
  const SafetensorsFile file(dir / "x.safetensors");
  REQUIRE(file.entries().size() == entries.size());
  CHECK(file.metadata().at("format") == "pt");
  for (const SafetensorsEntry& written : entries) {
    const SafetensorsEntry& read = file.at(written.name);
    CHECK(read.dtype == written.dtype);
    CHECK(read.shape == written.shape);
    CHECK(std::equal(read.bytes.begin(), read.bytes.end(), written.bytes.begin(), written.bytes.end()));
  }
  CHECK(file.entries()[0].name == "b.weight");
  CHECK(dir.count() == 1);  // no temporary file stays
}

TEST_CASE("an empty safetensors file is one, and replaces what was there") {
  const TempDir dir;
  const auto path = dir.write("x.safetensors", "old");
  write_safetensors(path, {});
  CHECK(SafetensorsFile(path).entries().empty());
}

TEST_CASE("entries that make no safetensors file are refused by name, and the old file stays") {
  const TempDir dir;
  const auto path = dir.write("x.safetensors", "old");
  const auto refused = [&](const std::vector<SafetensorsEntry>& entries) {
    const Failure bad = failure([&] { write_safetensors(path, entries); });
    CHECK(bad.code == Errc::InvalidArgument);
    CHECK(read_text(path) == "old");
    return bad.text;
  };
  CHECK_THAT(refused({entry("a", DType::Float32, {2}, 24)}),
             Contains("tensor \"a\"") && Contains("needs 8 bytes, and it has 24"));
  CHECK_THAT(refused({entry("a", DType::UInt8, {-1}, 1)}), Contains("its shape holds -1"));
  CHECK_THAT(refused({entry("a", DType::UInt8, {1}, 1), entry("a", DType::UInt8, {1}, 1)}), Contains("given twice"));
  CHECK_THAT(refused({entry("", DType::UInt8, {1}, 1)}), Contains("needs another name"));
  CHECK_THAT(refused({entry("__metadata__", DType::UInt8, {1}, 1)}), Contains("needs another name"));
  CHECK_THAT(refused({entry("\xff", DType::UInt8, {1}, 1)}), Contains("no UTF-8"));
  CHECK(failure([&] { write_safetensors(dir / "none/x.safetensors", {}); }).code == Errc::Io);
}
