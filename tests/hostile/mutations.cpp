#include "hostile/mutations.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>

namespace hostile {

namespace {

using nlohmann::json;
using Random = std::mt19937;

constexpr std::size_t kMostRandom = 250;  // of one part
constexpr std::size_t kMostNumbers = 400;
constexpr std::size_t kMostJson = 700;

/// What a reader of text may trip over.
const std::vector<std::string> kWords = {"-1",
                                         "1e999",
                                         "-0",
                                         "18446744073709551615",
                                         "9223372036854775808",
                                         "-9223372036854775808",
                                         "null",
                                         "NaN",
                                         "\"\\u0000\"",
                                         "\"\\ud800\"",
                                         "[[[[",
                                         "{}",
                                         "\xff",
                                         std::string(1, '\0'),
                                         "\xf4\x90\x80\x80",
                                         "../../x",
                                         "\n",
                                         "\t"};

/// A change of a few bytes somewhere.
void edit(std::string& bytes, Random& random) {
  const std::size_t at = random() % bytes.size();
  const std::size_t length = 1 + random() % (random() % 4 == 0 ? bytes.size() : 16);
  const auto bit = static_cast<char>(1 << random() % 8);
  switch (random() % 8) {
    case 0:
      bytes[at] = static_cast<char>(bytes[at] ^ bit);
      return;
    case 1:
    case 2:
      bytes[at] = static_cast<char>(random());
      return;
    case 3:
      bytes.erase(at, length);
      return;
    case 4:
      bytes.insert(at, bytes.substr(random() % bytes.size(), length));
      return;
    case 5:
      bytes.resize(at);
      return;
    case 6:
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), std::min(length, bytes.size() - at),
                  random() % 2 == 0 ? '\0' : '\xff');
      return;
    default:
      bytes.insert(at, kWords[random() % kWords.size()]);
  }
}

void change_randomly(std::string& bytes, std::size_t number) {
  Random random(static_cast<Random::result_type>(number));
  for (std::size_t edits = 1 + random() % 3; edits > 0 && !bytes.empty(); --edits) edit(bytes, random);
}

/// An integer of 1 to 8 bytes, of either byte order, over what is at `at`.
void change_number(std::string& bytes, std::size_t at, std::size_t number) {
  static constexpr std::array<std::uint64_t, 12> kNumbers{
      0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, INT64_MAX, UINT64_MAX};
  const std::uint64_t value = kNumbers[number % kNumbers.size()];
  const std::size_t width = std::size_t{1} << number / kNumbers.size() % 4;
  const bool is_big_endian = number % 5 == 0;
  for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i)
    bytes[at + i] = static_cast<char>(value >> (8 * (is_big_endian ? width - 1 - i : i)) & 0xff);
}

/// All values inside `value`, itself first, in an order that does not change.
void list_values(json& value, std::vector<json*>& values) {
  values.push_back(&value);
  if (value.is_structured())
    for (json& inner : value) list_values(inner, values);
}

json deep_array(int depth) {
  json value = 1;
  for (int i = 0; i < depth; ++i) value = json::array({std::move(value)});
  return value;
}

/// A value that a field may not expect, or another value of the same file.
json hostile_value(const std::vector<json*>& values, Random& random) {
  static const std::vector<json> kValues = {nullptr,
                                            true,
                                            0,
                                            -1,
                                            1,
                                            INT64_MAX,
                                            INT64_MIN,
                                            UINT64_MAX,
                                            1u << 31,
                                            1.5,
                                            -1e308,
                                            "",
                                            "x",
                                            std::string("a\0b", 3),
                                            "../../x",
                                            "nan",
                                            json::array(),
                                            json::object(),
                                            deep_array(200),
                                            std::string(100000, 'a'),
                                            json::object({{"", json::object()}})};
  if (random() % 2 == 0) return *values[random() % values.size()];
  return kValues[random() % kValues.size()];
}

/// Replaces, removes, doubles or renames something in the value number `at`.
std::string change_json(const std::string& text, std::size_t at, std::size_t number) {
  Random random(static_cast<Random::result_type>(number));
  json document = json::parse(text);
  std::vector<json*> values;
  list_values(document, values);
  json& value = *values[at % values.size()];
  const json other = hostile_value(values, random);
  const std::size_t kind = random() % 4;
  if (kind > 1 && value.is_array() && !value.empty()) {
    const std::size_t index = random() % value.size();
    if (kind == 2)
      value.erase(index);
    else
      value.insert(value.begin(), json(value[index]));
  } else if (kind > 1 && value.is_object() && !value.empty()) {
    const auto member = std::next(value.begin(), static_cast<std::ptrdiff_t>(random() % value.size()));
    const json kept = *member;
    value.erase(member);
    if (kind == 3) value[other.is_string() ? other.get<std::string>() : "16"] = kept;
  } else {
    value = other;
  }
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool is_json(const std::string& text) { return text.starts_with('{') && json::accept(text); }

std::size_t count_values(const std::string& text) {
  json document = json::parse(text);
  std::vector<json*> values;
  list_values(document, values);
  return values.size();
}

/// Those of one part, or of the whole file.
void add_mutations(const std::string& bytes, int part, std::vector<Mutation>& mutations) {
  if (bytes.empty()) return;
  const std::size_t random = std::min(kMostRandom, 40 + bytes.size());
  for (std::size_t i = 0; i < random; ++i) mutations.push_back({Mutation::Kind::Random, part, i});
  if (is_json(bytes)) {
    const std::size_t count = std::min(kMostJson, 3 * count_values(bytes));
    for (std::size_t i = 0; i < count; ++i) mutations.push_back({Mutation::Kind::Json, part, i});
    return;
  }
  const std::size_t numbers = std::min(kMostNumbers, 2 * bytes.size());
  for (std::size_t i = 0; i < numbers; ++i)
    mutations.push_back({Mutation::Kind::Number, part, i * bytes.size() / numbers});
}

}  // namespace

std::vector<Mutation> mutations_of(const Seed& seed) {
  std::vector<Mutation> mutations;
  add_mutations(seed.file(), -1, mutations);
  if (seed.parts.size() > 1)
    for (std::size_t i = 0; i < seed.parts.size(); ++i) add_mutations(seed.parts[i], static_cast<int>(i), mutations);
  return mutations;
}

std::string mutated(const Seed& seed, const Mutation& mutation, std::size_t number) {
  std::vector<std::string> parts = seed.parts;
  std::string whole = mutation.part < 0 ? seed.file() : "";
  std::string& bytes = mutation.part < 0 ? whole : parts[static_cast<std::size_t>(mutation.part)];
  switch (mutation.kind) {
    case Mutation::Kind::Random:
      change_randomly(bytes, number);
      break;
    case Mutation::Kind::Number:
      change_number(bytes, mutation.at, number);
      break;
    case Mutation::Kind::Json:
      bytes = change_json(bytes, mutation.at, number);
      break;
  }
  return mutation.part < 0 ? whole : seed.join(parts);
}

}  // namespace hostile
