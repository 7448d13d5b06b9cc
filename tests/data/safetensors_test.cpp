#include "halftone/data/safetensors.hpp"

#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "safetensors_bytes.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

const std::string kHeader = R"({"__metadata__":{"format":"pt"},)"
                            R"("weight":{"dtype":"F32","shape":[2,3],"data_offsets":[1,25]},)"
                            R"("flag":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]},)"
                            R"("none":{"dtype":"I64","shape":[4,0],"data_offsets":[25,25]}}  )";
const std::string kData = "\1abcdefghijklmnopqrstuvwx";
const std::string kValid = safetensors_bytes(kHeader, kData);

/// What opening a file of these bytes throws.
Failure refusal(std::string_view bytes) {
  const TempDir dir;
  const auto path = dir.write("model.safetensors", bytes);
  const Failure bad = failure([&] { SafetensorsFile file(path); });
  CHECK(bad.code == Errc::BadFile);
  CHECK_THAT(bad.text, Contains("model.safetensors\": "));
  return bad;
}

std::string refused_header(std::string_view header, std::string_view data = "") {
  return refusal(safetensors_bytes(header, data)).text;
}

/// The message about a file with one tensor "w" of these properties and 8 bytes of data.
std::string refused_entry(const std::string& entry) {
  const std::string text = refused_header("{\"w\":" + entry + "}", "01234567");
  CHECK_THAT(text, Contains("tensor \"w\": "));
  return text;
}

/// True where the bytes parse; false where they are refused in the one way that is allowed. Touches all data.
bool parses(const TempDir& dir, std::string_view bytes) {
  const auto path = dir.write("mutant.safetensors", bytes);
  try {
    const SafetensorsFile file(path);
    std::size_t sum = 0;
    for (const auto& entry : file.entries())
      for (const std::byte byte : entry.bytes) sum += std::to_integer<std::size_t>(byte);
    CHECK(sum <= 255 * bytes.size());
    return true;
  } catch (const Error& error) {
    CHECK(error.code() == Errc::BadFile);
    return false;
  }
}

}  // namespace

TEST_CASE("a file gives its tensors in file order, its metadata and its bytes") {
  const TempDir dir;
  const SafetensorsFile file(dir.write("x", kValid));
  REQUIRE(file.entries().size() == 3);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(file.entries()[0].name == "flag");
  CHECK(file.entries()[0].shape.empty());
  CHECK(file.entries()[0].bytes.size() == 1);

  const SafetensorsEntry& weight = file.at("weight");
  CHECK(&weight == &file.entries()[1]);
  CHECK(weight.dtype == DType::Float32);
  CHECK(weight.shape == std::vector<std::int64_t>{2, 3});
  REQUIRE(weight.bytes.size() == 24);
  CHECK(std::memcmp(weight.bytes.data(), kData.data() + 1, 24) == 0);

  CHECK(file.at("none").shape == std::vector<std::int64_t>{4, 0});
  CHECK(file.at("none").bytes.empty());
}

TEST_CASE("a moved file keeps its tensors") {
  const TempDir dir;
  SafetensorsFile file(dir.write("x", kValid));
  const SafetensorsFile moved = std::move(file);
  CHECK(moved.at("weight").bytes.back() == std::byte{'x'});
}

TEST_CASE("a tensor that does not exist is named with those that do") {
  const TempDir dir;
  const SafetensorsFile file(dir.write("x", kValid));
  CHECK(file.find("bias") == nullptr);
  const Failure missing = failure([&] { static_cast<void>(file.at("bias")); });
  CHECK(missing.code == Errc::NotFound);
  CHECK_THAT(missing.text, Contains("no tensor \"bias\"") && Contains("\"flag\", \"weight\", \"none\""));
  CHECK(failure([&] { static_cast<void>(file.at("\xff")); }).code == Errc::NotFound);
  CHECK(failure([&] { SafetensorsFile none(dir / "none"); }).code == Errc::NotFound);
}

TEST_CASE("a file without tensors is legal") {
  const TempDir dir;
  const SafetensorsFile file(dir.write("x", safetensors_bytes("{}", "")));
  CHECK(file.entries().empty());
  CHECK_THAT(failure([&] { static_cast<void>(file.at("w")); }).text, Contains("it holds none"));
}

TEST_CASE("a long list of names is cut") {
  std::string header = "{";
  for (int i = 0; i < 40; ++i)
    header += message(i == 0 ? "" : ",", "\"t", i, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  const TempDir dir;
  const SafetensorsFile file(dir.write("x", safetensors_bytes(header + "}", "")));
  CHECK_THAT(failure([&] { static_cast<void>(file.at("w")); }).text, Contains("\"t0\"") && Contains("and 10 more"));
}

TEST_CASE("a file that is cut short anywhere is refused") {
  for (std::size_t size = 0; size < kValid.size(); ++size) {
    INFO("cut to " << size << " of " << kValid.size() << " bytes");
    const std::string text = refusal(kValid.substr(0, size)).text;
    if (size < 8) CHECK_THAT(text, Contains(message("holds ", size, " bytes")));
    if (size >= 8 && size < 8 + kHeader.size()) CHECK_THAT(text, Contains("the file is cut short"));
    if (size >= 8 + kHeader.size()) CHECK_THAT(text, Contains("outside the file"));
  }
}

TEST_CASE("bytes behind the last tensor are refused") {
  CHECK_THAT(refusal(kValid + "x").text, Contains("tensors cover 25 bytes of data, but the file holds 26"));
  CHECK_THAT(refused_header("{}", "x"), Contains("tensors cover 0 bytes"));
}

TEST_CASE("a header length that cannot be is refused") {
  const std::string eight(8, '\0');
  CHECK_THAT(refusal(eight).text, Contains("header length is 0"));
  CHECK_THAT(refusal(std::string(8, '\xff') + "{}").text, Contains("18446744073709551615") && Contains("100000000"));
  CHECK_THAT(refusal(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8) + "{}").text, Contains("100000001 bytes"));
  CHECK_THAT(refusal(std::string("\x03\0\0\0\0\0\0\0", 8) + "{}").text, Contains("is 3 bytes, but only 2 follow"));
}

TEST_CASE("a header that is no JSON object is refused") {
  for (const char* header : {"[]", "1", "null", " {}", "\xef\xbb\xbf{}"})
    CHECK_THAT(refused_header(header), Contains("does not start with {"));
  for (const char* header : {"{", "{]", "{} {}", "{\"a\":}", "{\"a\" 1}", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}",
                             "{}//", "{\"\xff\":1}", "{\"a\":\"\n\"}", "{\"\\ud800\":1}"})
    CHECK_THAT(refused_header(header), Contains("not valid JSON at its byte"));
  CHECK_THAT(refused_header("{\"a\":1e999}"), Contains("not valid JSON: a number is out of range"));
  CHECK_THAT(refused_header(std::string("{}\0{", 4)), Contains("not valid JSON at its byte 3"));
}

TEST_CASE("a key that occurs twice is refused at every level") {
  const std::string w = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  CHECK_THAT(refused_header("{" + w + "," + w + "}", "x"), Contains("the key \"w\" twice"));
  CHECK_THAT(refused_header(R"({"w":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"),
             Contains("the key \"dtype\" twice"));
  CHECK_THAT(refused_header(R"({"__metadata__":{"a":"1","a":"2"}})"), Contains("the key \"a\" twice"));
  CHECK_THAT(refused_header(R"({"__metadata__":{},"__metadata__":{}})"), Contains("the key \"__metadata__\" twice"));
}

TEST_CASE("deep nesting is refused before it costs anything") {
  const std::size_t depth = 1'000'000;
  for (const char* const open : {"[", "{\"a\":"}) {
    std::string header = "{\"w\":";
    for (std::size_t i = 0; i < depth; ++i) header += open;
    CHECK_THAT(refused_header(header), Contains("nested deeper"));
  }
}

TEST_CASE("metadata that is not text is refused") {
  CHECK_THAT(refused_header(R"({"__metadata__":3})"), Contains("__metadata__ is 3") && Contains("object of strings"));
  CHECK_THAT(refused_header(R"({"__metadata__":{"a":[1]}})"), Contains("\"a\" is [1]: it must be a string"));
}

TEST_CASE("a tensor without exactly dtype, shape and data_offsets is refused") {
  CHECK_THAT(refused_entry("[]"), Contains("is []: it must be an object"));
  CHECK_THAT(refused_entry(R"({"shape":[1],"data_offsets":[0,1]})"), Contains("dtype is missing"));
  CHECK_THAT(refused_entry(R"({"dtype":"U8","data_offsets":[0,1]})"), Contains("shape is missing"));
  CHECK_THAT(refused_entry(R"({"dtype":"U8","shape":[1]})"), Contains("data_offsets is missing"));
  CHECK_THAT(refused_entry(R"({"dtype":"U8","shape":[8],"data_offsets":[0,8],"x":1})"), Contains("holds 4 keys"));
}

TEST_CASE("an element type that cannot be read is named with those that can") {
  for (const char* dtype : {"\"F8_E4M3\"", "\"f32\"", "\"\"", "32", "null", "[\"F32\"]"})
    CHECK_THAT(refused_entry(message(R"({"dtype":)", dtype, R"(,"shape":[2],"data_offsets":[0,8]})")),
               Contains(message("dtype ", dtype, " cannot be read")) && Contains("BOOL, U8, I8") && Contains("F64"));
}

TEST_CASE("a shape that is no list of sizes is refused") {
  const auto text_of = [](const char* shape) {
    return refused_entry(message(R"({"dtype":"F32","data_offsets":[0,8],"shape":)", shape, "}"));
  };
  for (const char* shape : {"2", "\"2\"", "null", "{}"}) CHECK_THAT(text_of(shape), Contains("must be a list"));
  for (const char* size : {"-2", "2.0", "\"2\"", "null", "[2]", "9223372036854775808", "18446744073709551616", "true"})
    CHECK_THAT(text_of(message("[", size, "]").c_str()), Contains("sizes are integers from 0 to 2^63-1"));
}

TEST_CASE("a shape too large to count is refused, zeros or not") {
  for (const char* shape :
       {"[4611686018427387904]", "[4294967296,4294967296]", "[9223372036854775807,3,0]", "[2305843009213693952,8]"})
    CHECK_THAT(refused_entry(message(R"({"dtype":"F32","data_offsets":[0,8],"shape":)", shape, "}")),
               Contains("more bytes than 64 bits can count"));
}

TEST_CASE("offsets that do not fit the file or the shape are refused") {
  const auto text_of = [](const char* offsets) {
    return refused_entry(message(R"({"dtype":"F32","shape":[2],"data_offsets":)", offsets, "}"));
  };
  for (const char* offsets :
       {"8", "[]", "[0]", "[0,8,8]", "[-1,8]", "[0,8.0]", "[\"0\",8]", "[0,18446744073709551616]"})
    CHECK_THAT(text_of(offsets), Contains("it must be [begin, end]"));
  CHECK_THAT(text_of("[8,0]"), Contains("[8,0] end before they begin"));
  CHECK_THAT(text_of("[0,9]"), Contains("[0,9] end outside the file, which holds 8 bytes"));
  CHECK_THAT(text_of("[18446744073709551615,18446744073709551615]"), Contains("outside the file"));
  CHECK_THAT(text_of("[0,4]"), Contains("span 4 bytes, but shape [2] of F32 needs 8"));
}

TEST_CASE("tensors that overlap or leave a gap are refused") {
  const auto text_of = [](const char* a, const char* b) {
    const std::string entry = R"({"dtype":"U8","shape":[4],"data_offsets":)";
    return refused_header("{\"a\":" + entry + a + "},\"b\":" + entry + b + "}}", "0123456789");
  };
  CHECK_THAT(text_of("[0,4]", "[3,7]"),
             Contains("tensor \"b\": begins at byte 3, inside another tensor that ends at 4"));
  CHECK_THAT(text_of("[0,4]", "[0,4]"), Contains("inside another tensor"));
  CHECK_THAT(text_of("[6,10]", "[0,4]"),
             Contains("tensor \"a\": begins at byte 6, but the tensor before it ends at 4"));
  CHECK_THAT(text_of("[1,5]", "[5,9]"), Contains("before it ends at 0: the format allows no gaps"));
  CHECK_THAT(text_of("[0,4]", "[4,8]"), Contains("tensors cover 8 bytes"));
  CHECK_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                            R"("z":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
                            "ab"),
             Contains("tensor \"z\": begins at byte 1, inside"));
}

TEST_CASE("long and odd names stay short and printable in messages") {
  std::string name;
  for (int i = 0; i < 1000; ++i) name += "\u00e9";
  const std::string text = refused_header("{\"a" + name + "\":1}");
  CHECK(text.size() < 400);
  CHECK_THAT(text, Contains("\u00e9…: is 1"));
  CHECK_THAT(refused_header("{\"\\u0000\\n\":1}"), Contains("tensor \"\\u0000\\n\": is 1"));
}

TEST_CASE("a damaged file parses or is refused, and nothing else happens") {
  constexpr std::uint64_t seed = 20;
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const TempDir dir;
  const std::string tokens = "{}[],:\"0129-+eE.\\u \n";
  int parsed = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = kValid;
    for (std::uint64_t flips = 1 + random() % 4; flips > 0; --flips) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
          break;
        case 1:
          bytes[at] = static_cast<char>(random() % 256);
          break;
        case 2:
          bytes[at] = tokens[random() % tokens.size()];
          break;
        default:
          bytes[8 + random() % kHeader.size()] = static_cast<char>('0' + random() % 10);
      }
    }
    parsed += parses(dir, bytes) ? 1 : 0;
  }
  // Flips in data, metadata and names do no harm; the rest must not all be refused for one first reason.
  CHECK(parsed > 100);
  CHECK(parsed < 3000);
}
