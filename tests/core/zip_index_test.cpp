#include "halftone/core/zip_index.hpp"

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "catch.hpp"
#include "core/zip_bytes.hpp"
#include "failure.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16));
  return bytes;
}

/// What opening an archive of these bytes throws.
std::string refusal(std::string_view archive) {
  const Failure bad = failure([&] { ZipIndex index(bytes_of(archive), "x.zip"); });
  CHECK(bad.code == Errc::BadFile);
  CHECK_THAT(bad.text, Contains("zip archive \"x.zip\": "));
  return bad.text;
}

/// `archive` with the `count` bytes at `at` set to `number`.
std::string changed(std::string archive, std::size_t at, std::uint64_t number, int count) {
  return archive.replace(at, static_cast<std::size_t>(count), little_endian(number, count));
}

const std::vector<ZipPart> kParts{{"a/data.pkl", "hello"}, {"a/data/0", "12345678"}, {"a/none", ""}};

}  // namespace

TEST_CASE("the checksum of zip archives is the standard's") {
  CHECK(crc_of("123456789") == 0xcbf43926);  // the check value of CRC-32 in the catalogue of parametrised CRCs
  CHECK(crc_of("") == 0);
  // Python: zlib.crc32(bytes(range(256)) * 3)
  std::string all;
  for (int i = 0; i < 768; ++i) all += static_cast<char>(i);
  CHECK(crc_of(all) == 0xb0c0df2a);
}

TEST_CASE("an archive written by Python's zipfile is read, with its comment, and its packed entry refused") {
  // zipfile.ZipFile: "a/b.txt" (hello) and "z" (empty) stored, "packed" (40 times x) deflated, comment "note".
  const std::string archive = from_hex(
      "504b03041400000000000000215086a61036050000000500000007000000612f622e74787468656c6c6f504b030414000000000000002150"
      "0000"
      "00000000000000000000010000007a504b030414000000080000002150f0711ac40600000028000000060000007061636b6564aba8200e00"
      "00"
      "504b010214031400000000000000215086a610360500000005000000070000000000000000000000800100000000612f622e747874504b01"
      "02"
      "14031400000000000000215000000000000000000000000001000000000000000000000080012a0000007a504b0102140314000000080000"
      "002150f0711ac406000000280000000600000000000000000000008001490000007061636b6564504b050600000000030003009800000073"
      "00"
      "000004006e6f7465");
  REQUIRE(archive.size() == 293);
  const ZipIndex index(bytes_of(archive), "x.zip");
  REQUIRE(index.entries().size() == 3);
  CHECK(text_of(index.bytes("a/b.txt")) == "hello");
  CHECK(index.bytes("z").empty());
  for (const char* const name : {"a/b.txt", "z"}) CHECK_NOTHROW(index.verify(*index.find(name)));
  const Failure packed = failure([&] { static_cast<void>(index.bytes("packed")); });
  CHECK(packed.code == Errc::Unsupported);
  CHECK_THAT(packed.text, Contains("\"packed\" is compressed or encrypted") && Contains("zip -0"));
}

TEST_CASE("small archives and zip64 give the same entries, sorted, with their bytes in place") {
  for (const bool zip64 : {false, true}) {
    const std::string archive = zip_bytes(kParts, zip64);
    const ZipIndex index(bytes_of(archive), "x.zip");
    REQUIRE(index.entries().size() == 3);
    CHECK(index.entries()[1].name == "a/data/0");
    CHECK(index.entries()[1].size == 8);
    CHECK(archive.substr(index.entries()[1].offset, 8) == "12345678");
    CHECK(text_of(index.bytes("a/data.pkl")) == "hello");
    CHECK(index.bytes("a/data.pkl").data() == bytes_of(archive).data() + index.find("a/data.pkl")->offset);
  }
}

TEST_CASE("padding before content, as LibTorch writes it, is skipped") {
  const std::string archive = zip_bytes({{"a", "xyz", 0x808, 0, "FB" + little_endian(9, 2) + "ZZZZZZZZZ"}});
  // With flag 8 the sizes may be missing from the header before the content.
  for (const std::string& one : {archive, changed(archive, 14, 0, 8), changed(archive, 14, 0, 12)})
    CHECK(text_of(ZipIndex(bytes_of(one), "x.zip").bytes("a")) == "xyz");
}

TEST_CASE("an archive without entries is empty") {
  const std::string archive = zip_bytes({});
  CHECK(ZipIndex(bytes_of(archive), "x.zip").entries().empty());
}

TEST_CASE("an entry that does not exist is named") {
  const std::string archive = zip_bytes(kParts);
  const ZipIndex index(bytes_of(archive), "x.zip");
  CHECK(index.find("a") == nullptr);
  CHECK(index.find("zzz") == nullptr);
  const Failure missing = failure([&] { static_cast<void>(index.bytes("a/data/1")); });
  CHECK(missing.code == Errc::NotFound);
  CHECK_THAT(missing.text, Contains("no entry \"a/data/1\" among its 3"));
}

TEST_CASE("changed content is found by its checksum") {
  std::string archive = zip_bytes(kParts);
  archive[archive.find("hello")] = 'j';
  const ZipIndex index(bytes_of(archive), "x.zip");
  CHECK_NOTHROW(index.verify(*index.find("a/data/0")));
  const Failure damaged = failure([&] { index.verify(*index.find("a/data.pkl")); });
  CHECK(damaged.code == Errc::BadFile);
  CHECK_THAT(damaged.text, Contains("\"a/data.pkl\" has checksum"));
}

TEST_CASE("what is no zip archive, or only a part of one, is refused") {
  const std::string archive = zip_bytes(kParts);
  CHECK_THAT(refusal(""), Contains("holds 0 bytes"));
  CHECK_THAT(refusal(std::string(1000, 'x')), Contains("no end of a central directory"));
  for (std::size_t size = 0; size < archive.size(); ++size) refusal(std::string_view(archive).substr(0, size));
  CHECK_THAT(refusal("x" + archive), Contains("bytes are missing, or were put before"));
  const std::string large = zip_bytes(kParts, true);
  for (std::size_t size = 0; size < large.size(); ++size) refusal(std::string_view(large).substr(0, size));
}

TEST_CASE("names that lead outside a folder are refused, and names that occur twice") {
  for (const char* name : {"../a", "a/../b", "/etc/x", "a//b", "./a", "a/.", "..", "c:/x", "a\\b"})
    CHECK_THAT(refusal(zip_bytes({{name, "x"}})), Contains("the name is not allowed"));
  CHECK_THAT(refusal(zip_bytes({{std::string("a\0b", 3), "x"}})), Contains("the name is not allowed"));
  CHECK_THAT(refusal(zip_bytes({{"", "x"}})), Contains("has no name"));
  CHECK_THAT(refusal(zip_bytes({{"a", "x"}, {"b", "y"}, {"a", "z"}})), Contains("\"a\": the name occurs twice"));
  const std::string fine = zip_bytes({{"a/", ""}, {"a/..b", "x"}, {"a/c:", ""}});
  CHECK(ZipIndex(bytes_of(fine), "x.zip").entries().size() == 3);
}

TEST_CASE("counts, sizes and offsets that do not fit are refused") {
  const std::string archive = zip_bytes(kParts);
  const std::size_t end = archive.size() - 22;
  const std::size_t directory = archive.find("PK\1\2");
  CHECK_THAT(refusal(changed(changed(archive, end + 8, 60000, 2), end + 10, 60000, 2)), Contains("60000 entries"));
  CHECK_THAT(refusal(changed(changed(archive, end + 8, 2, 2), end + 10, 2, 2)), Contains("behind its 2 entries"));
  CHECK_THAT(refusal(changed(archive, end + 8, 2, 2)), Contains("several disks"));
  CHECK_THAT(refusal(changed(archive, end + 16, 0xfffffff0, 4)), Contains("does not end at byte"));
  CHECK_THAT(refusal(changed(archive, directory, 0, 4)), Contains("no entry at its byte 0"));
  CHECK_THAT(refusal(changed(archive, directory + 28, 0xfff0, 2)), Contains("ends inside its entry"));
  CHECK_THAT(refusal(changed(archive, directory + 42, 1, 4)), Contains("said to be at byte 1"));
  CHECK_THAT(refusal(changed(archive, directory + 42, 0xfffffffe, 4)), Contains("said to be at byte 4294967294"));
  CHECK_THAT(refusal(changed(archive, directory + 42, 0xffffffff, 4)), Contains("said to be at byte 4294967295"));
  const std::string longer = changed(changed(archive, directory + 20, 5000, 4), directory + 24, 5000, 4);
  CHECK_THAT(refusal(longer), Contains("reach into the central directory"));
  CHECK_THAT(refusal(changed(archive, directory + 24, 6, 4)), Contains("5 bytes in the archive and 6 outside"));
  CHECK_THAT(refusal(changed(archive, 26, 9, 2)), Contains("contradicts the central directory"));
  CHECK_THAT(refusal(changed(archive, 18, 4, 4)), Contains("contradicts the central directory"));
  CHECK_THAT(refusal(changed(archive, 8, 8, 2)), Contains("contradicts the central directory"));
}

TEST_CASE("entries that overlap are refused") {
  const std::string inner = zip_bytes({{"b", "x"}});
  const std::string header = inner.substr(0, inner.find("PK\1\2"));
  std::string archive = zip_bytes({{"a", header}, {"b", "x"}});
  const std::size_t second = archive.rfind("PK\1\2");
  archive = changed(archive, second + 42, archive.find("PK\3\4", 4), 4);  // the header inside the content of "a"
  CHECK_THAT(refusal(archive), Contains("\"b\": begins at byte 31, inside \"a\""));
}

TEST_CASE("a zip64 record that contradicts the plain one is refused") {
  const std::string archive = zip_bytes(kParts, true);
  const std::size_t end = archive.size() - 22;
  const std::size_t large = archive.find("PK\6\6");
  CHECK_THAT(refusal(changed(archive, end + 10, 7, 2)), Contains("contradicts the plain one"));
  CHECK_THAT(refusal(changed(archive, end - 12, ~0ULL, 8)), Contains("the zip64 end record is said to be at byte"));
  CHECK_THAT(refusal(changed(archive, large + 4, 45, 8)), Contains("gives its size as 45"));
  CHECK_THAT(refusal(changed(changed(archive, large + 24, 1ULL << 60, 8), large + 32, 1ULL << 60, 8)),
             Contains("said to hold 1152921504606846976 entries"));
  CHECK_THAT(refusal(changed(archive, large + 48, ~0ULL, 8)), Contains("does not end at byte"));
  const std::size_t extra = archive.find("PK\1\2") + 46 + kParts[0].name.size();
  CHECK_THAT(refusal(changed(archive, extra + 2, 23, 2)), Contains("cut short") || Contains("too short"));
  CHECK_THAT(refusal(changed(archive, extra, 2, 2)), Contains("is stored as it is") || Contains("said to be"));
}

TEST_CASE("a damaged archive is read or refused, and nothing else happens") {
  constexpr std::uint64_t seed = 21;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  int read = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string archive = zip_bytes(kParts, round % 2 == 0);
    for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      char& byte = archive[random() % archive.size()];
      byte = static_cast<char>(random() % 2 == 0 ? random() : byte ^ (1 << random() % 8));
    }
    try {
      const ZipIndex index(bytes_of(archive), "x.zip");
      for (const auto& entry : index.entries())
        if (entry.is_stored) CHECK(index.bytes(entry).size() == entry.size);
      ++read;
    } catch (const Error& error) {
      CHECK(error.code() == Errc::BadFile);
    }
  }
  // Flips in content, times and versions do no harm.
  CHECK(read > 500);
  CHECK(read < 15000);
}
