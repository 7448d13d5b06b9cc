#include "halftone/core/digest.hpp"

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "catch.hpp"

using namespace halftone;

namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

// Golden: printf abc | xxhsum -H2
TEST_CASE("a digest is XXH3 with 128 bits") {
  CHECK(Digest().hex() == "99aa06d3014798d86001c324468d497f");
  CHECK(Digest().add_bytes(bytes("abc")).hex() == "06b05ab6733a618578af5f94892f3950");
}

TEST_CASE("bytes may be added in any pieces") {
  const std::string text(5000, 'x');
  const std::string whole = Digest().add_bytes(bytes(text)).hex();
  for (const std::size_t piece : {1U, 7U, 256U, 4999U}) {
    Digest digest;
    for (std::size_t i = 0; i < text.size(); i += piece)
      digest.add_bytes(bytes(text).subspan(i).first(std::min(piece, text.size() - i)));
    CHECK(digest.hex() == whole);
  }
}

TEST_CASE("texts and numbers are told apart by where they begin and end") {
  const std::set<std::string> digests{
      Digest().hex(),
      Digest().add("").hex(),
      Digest().add("").add("").hex(),
      Digest().add("ab").add("c").hex(),
      Digest().add("a").add("bc").hex(),
      Digest().add("abc").hex(),
      Digest().add_bytes(bytes("abc")).hex(),
      Digest().add(1).hex(),
      Digest().add(-1).hex(),
      Digest().add(1).add(2).hex(),
      Digest().add(2).add(1).hex(),
  };
  CHECK(digests.size() == 11);
}

TEST_CASE("numbers are added as eight little-endian bytes") {
  const std::string same{'\x02', '\x01', 0, 0, 0, 0, 0, '\x80'};
  const auto number = static_cast<std::int64_t>(0x8000'0000'0000'0102ULL);
  CHECK(Digest().add(number).hex() == Digest().add_bytes(bytes(same)).hex());
}

TEST_CASE("a digest can be read, continued and moved") {
  Digest digest;
  digest.add("a");
  const std::string first = digest.hex();
  CHECK(digest.hex() == first);
  Digest moved = std::move(digest);
  CHECK(moved.hex() == first);
  CHECK(moved.add("b").hex() == Digest().add("a").add("b").hex());
}
