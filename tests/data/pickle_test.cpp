#include "data/pickle.hpp"

#include <charconv>
#include <random>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"

using namespace halftone;
using namespace halftone::internal;
using namespace std::string_literals;
using Catch::Contains;
using Kind = PickleNode::Kind;

namespace {

/// Written by Python 3.11:
///   l = [1]
///   pickle.dumps({"a": [1, -2, 70000, 2**40, -2**63, 2**70], "t": (), "p": (1,), "q": (1, 2, 3, 4), "f": 0.5,
///                 "n": None, "b": (True, False), "s": "xxx", "y": b"\x00\xff", "e": set(),
///                 "d": collections.OrderedDict([("k", 1)]), "self": [l, l]}, protocol).hex()
const std::vector<std::pair<int, std::string>> kGolden{
    {2,
     "80027d71002858010000006171015d7102284b014afeffffff4a701101008a060000000000018a0800000000000000808a09"
     "0000000000000000406558010000007471032958010000007071044b018571055801000000717106284b014b024b034b0474"
     "71075801000000667108473fe000000000000058010000006e71094e580100000062710a888986710b580100000073710c58"
     "03000000787878710d580100000079710e635f636f646563730a656e636f64650a710f580300000000c3bf71105806000000"
     "6c6174696e3171118671125271135801000000657114635f5f6275696c74696e5f5f0a7365740a71155d7116857117527118"
     "580100000064711963636f6c6c656374696f6e730a4f726465726564446963740a711a2952711b58010000006b711c4b0173"
     "580400000073656c66711d5d711e285d711f4b0161681f65752e"},
    {3,
     "80037d71002858010000006171015d7102284b014afeffffff4a701101008a060000000000018a0800000000000000808a09"
     "0000000000000000406558010000007471032958010000007071044b018571055801000000717106284b014b024b034b0474"
     "71075801000000667108473fe000000000000058010000006e71094e580100000062710a888986710b580100000073710c58"
     "03000000787878710d580100000079710e430200ff710f5801000000657110636275696c74696e730a7365740a71115d7112"
     "857113527114580100000064711563636f6c6c656374696f6e730a4f726465726564446963740a7116295271175801000000"
     "6b71184b0173580400000073656c6671195d711a285d711b4b0161681b65752e"},
    {4,
     "800495c3000000000000007d94288c0161945d94284b014afeffffff4a701101008a060000000000018a0800000000000000"
     "808a09000000000000000040658c017494298c0170944b0185948c017194284b014b024b034b0474948c016694473fe00000"
     "000000008c016e944e8c016294888986948c0173948c03787878948c017994430200ff948c0165948f948c0164948c0b636f"
     "6c6c656374696f6e73948c0b4f726465726564446963749493942952948c016b944b01738c0473656c66945d94285d944b01"
     "61681a65752e"},
    {5,
     "800595c3000000000000007d94288c0161945d94284b014afeffffff4a701101008a060000000000018a0800000000000000"
     "808a09000000000000000040658c017494298c0170944b0185948c017194284b014b024b034b0474948c016694473fe00000"
     "000000008c016e944e8c016294888986948c0173948c03787878948c017994430200ff948c0165948f948c0164948c0b636f"
     "6c6c656374696f6e73948c0b4f726465726564446963749493942952948c016b944b01738c0473656c66945d94285d944b01"
     "61681a65752e"},
};

std::string from_hex(std::string_view digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(digits.data() + i, digits.data() + i + 2, value, 16);
    bytes += static_cast<char>(value);
  }
  return bytes;
}

PickleDocument read(std::string_view bytes) {
  const auto allowed = [](const std::string& name) {
    return name == "collections.OrderedDict" || name == "_codecs.encode" || name == "builtins.set" || name == "a.b";
  };
  return read_pickle(std::as_bytes(std::span(bytes)), {.where = "file \"x\"", .is_allowed = allowed});
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += "0123456789abcdef"[c >> 4 & 15], text += "0123456789abcdef"[c & 15];
  return text;
}

std::string describe(const PickleValue& value);

std::string describe(const PickleNode& node) {
  static const char* const kNames[] = {"tuple", "list", "set", "dict", "global", "call", "persistent"};
  std::string text = kNames[static_cast<std::size_t>(node.kind)] + node.name + "(";
  for (const auto& item : node.items) text += (text.back() == '(' ? "" : " ") + describe(item);
  return text + ")";
}

/// The value as one line of text. Only for values that do not hold themselves.
std::string describe(const PickleValue& value) {
  struct Visitor {
    std::string operator()(std::monostate) const { return "None"; }
    std::string operator()(bool b) const { return b ? "True" : "False"; }
    std::string operator()(std::int64_t i) const { return message(i); }
    std::string operator()(double d) const { return message(d); }
    std::string operator()(PickleText t) const { return message('\'', t.text, '\''); }
    std::string operator()(PickleBytes b) const { return "0x" + hex(b.bytes); }
    std::string operator()(const PickleNode* n) const { return describe(*n); }
  };
  return std::visit(Visitor(), value);
}

std::string read_as_text(std::string_view bytes) { return describe(read(bytes).root); }

std::string refusal(std::string_view bytes, Errc code = Errc::BadFile) {
  const Failure bad = failure([&] { read(bytes); });
  CHECK(bad.code == code);
  CHECK_THAT(bad.text, Contains("file \"x\": pickle stream, byte "));
  return bad.text;
}

/// The most memory that this process ever had, in MiB.
long peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace

TEST_CASE("a stream of every protocol gives the values that Python wrote") {
  const std::string numbers = "list(1 -2 70000 1099511627776 -9223372036854775808 0x000000000000000040)";
  for (const auto& [protocol, golden] : kGolden) {
    INFO("protocol " << protocol);
    // Protocol 2 has no bytes, so that it writes how to make them of a text; from 4 on there are sets.
    const std::string bytes = protocol == 2 ? "call(global_codecs.encode() tuple('\0\xc3\xbf' 'latin1'))"s : "0x00ff"s;
    const std::string set = protocol < 4 ? "call(globalbuiltins.set() tuple(list()))" : "set()";
    CHECK(read_as_text(from_hex(golden)) ==
          "dict('a' " + numbers +
              " 't' tuple() 'p' tuple(1) 'q' tuple(1 2 3 4) 'f' 0.5 'n' None 'b' tuple(True False) 's' 'xxx' 'y' " +
              bytes + " 'e' " + set + " 'd' dict('k' 1) 'self' list(list(1) list(1)))");
  }
}

TEST_CASE("a value that the memo gives twice is one node") {
  const std::string bytes = from_hex(kGolden[0].second);
  const PickleDocument document = read(bytes);
  const auto& items = node_of(document.root, Kind::Dict)->items;
  const auto& twice = node_of(items.back(), Kind::List)->items;
  CHECK(std::get<const PickleNode*>(twice[0]) == std::get<const PickleNode*>(twice[1]));
}

TEST_CASE("a document ends at its end mark, whatever follows") {
  const std::string bytes = "\x80\x02K\x07.and more";
  const PickleDocument document = read(bytes);
  CHECK(document.size == 5);
  CHECK(describe(document.root) == "7");
}

TEST_CASE("integers of any length are two's complement") {
  CHECK(read_as_text("\x8a\0."s) == "0");
  CHECK(read_as_text("\x8a\1\xff."s) == "-1");
  CHECK(read_as_text("\x8a\2\xff\0."s) == "255");
  CHECK(read_as_text("\x8b\2\0\0\0\0\x80."s) == "-32768");
  CHECK(read_as_text("J\xfe\xff\xff\xff."s) == "-2");
  CHECK(read_as_text("M\xfe\xff."s) == "65534");
}

TEST_CASE("texts of Python 2 and calls of its names are read") {
  CHECK(read_as_text("U\2ab."s) == "'ab'");
  CHECK(read_as_text("T\2\0\0\0ab."s) == "'ab'");
  CHECK(read_as_text("c__builtin__\nset\n."s) == "globalbuiltins.set()");
  CHECK(read_as_text("ccollections\nOrderedDict\n(](](U\1aK\1eetR."s) == "dict('a' 1)");
}

TEST_CASE("calls, attributes and references out of the stream stay data") {
  CHECK(read_as_text("ca\nb\n(K\1tR}U\1kK\2sb."s) == "call(globala.b() tuple(1))");
  CHECK(read_as_text("ca\nb\n)\x81."s) == "call(globala.b() tuple())");
  CHECK(read_as_text("ca\nb\n)}\x92."s) == "call(globala.b() tuple())");
  CHECK(read_as_text("\x8c\1a\x8c\1b\x93."s) == "globala.b()");
  CHECK(read_as_text("U\1kQ."s) == "persistent('k')");
  CHECK(read_as_text("(K\1K\2\x31K\3."s) == "3");   // POP_MARK
  CHECK(read_as_text("K\3K\1\x30(\x30."s) == "3");  // POP of a value, then of a mark
  CHECK(read_as_text("(K\1\x91."s) == "set(1)");
}

TEST_CASE("globals that are not allowed are named and nothing is run") {
  const auto refused = [](std::string_view bytes) { return refusal(bytes, Errc::Unsupported); };
  CHECK_THAT(refused("cos\nsystem\n(U\4truetR."), Contains("\"os.system\"") && Contains("not allowed"));
  CHECK_THAT(refused("c__builtin__\neval\n(U\1"
                     "1tR."),
             Contains("\"builtins.eval\""));
  CHECK_THAT(refused("\x80\4\x8c\5posix\x8c\6system\x93."), Contains("\"posix.system\""));
  CHECK_THAT(refused("ca\nb.__globals__\n."), Contains("\"a.b.__globals__\""));
  CHECK_THAT(refused("cnet\nNet\n)\x81."), Contains("state_dict()"));
}

TEST_CASE("instructions that no present Python writes are refused by name") {
  const auto refused = [](std::string_view bytes) { return refusal(bytes, Errc::Unsupported); };
  CHECK_THAT(refused("(S'ls'\nios\nsystem\n."), Contains("STRING"));
  CHECK_THAT(refused("(ios\nsystem\n."), Contains("INST"));
  CHECK_THAT(refused("(ca\nb\no."), Contains("OBJ"));
  CHECK_THAT(refused("]2."), Contains("DUP"));
  CHECK_THAT(refused("\x82\1."), Contains("EXT1"));
  CHECK_THAT(refused("\x80\1."), Contains("protocol 1"));
  CHECK_THAT(refused("\x80\6."), Contains("protocol 6"));
  CHECK_THAT(refusal("\xff."), Contains("no pickle"));
}

TEST_CASE("malformed streams are refused") {
  const std::vector<std::pair<std::string, std::string>> streams{
      {"", "cut short"},
      {"K", "cut short"},
      {".", "not there"},
      {"K\1K\2.", "left over"},
      {"K\1(.", "not there"},
      {"(K\1", "cut short"},
      {"t.", "mark"},
      {"u.", "mark"},
      {"}(K\1u.", "without a value"},
      {"K\1(K\2e.", "cannot take"},
      {"}(K\2e.", "cannot take"},
      {"(K\1K\2ee.", "not there"},
      {"]K\1s.", "not there"},
      {"h\7.", "value 7"},
      {"q\1.", "not there"},
      {"\x94.", "not there"},
      {"b.", "not there"},
      {"]}b.", "attributes"},
      {"K\1)R.", "no global"},
      {"ca\nb\nK\1R.", "tuple of arguments"},
      {"ccollections\nOrderedDict\n(K\1tR.", "list of pairs"},
      {"ccollections\nOrderedDict\n(](](K\1eetR.", "list of pairs"},
      {"K\1K\2\x93.", "no text"},
      {"c" + std::string(300, 'a') + "\nb\n.", "does not end"},
      {"ca", "does not end"},
      {"Q.", "not there"},
  };
  for (const auto& [bytes, what] : streams) {
    INFO(hex(bytes));
    CHECK_THAT(refusal(bytes), Contains(what));
  }
}

TEST_CASE("small streams that ask for much memory do not get it") {
  const long before = peak_memory();
  CHECK_THAT(refusal("\x8b\xff\xff\xff\x7f\1."), Contains("2147483647 bytes"));
  CHECK_THAT(refusal("X\xff\xff\xff\xff\1."), Contains("4294967295 bytes"));
  CHECK_THAT(refusal("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                     "a."),
             Contains("18446744073709551615 bytes"));
  CHECK_THAT(refusal("\x8e\0\0\0\0\0\0\0\x40"
                     "a."s),
             Contains("4611686018427387904 bytes"));
  CHECK(read_as_text("K\1r\xff\xff\xff\xff."s) == "1");  // the memo is no array
  // A thousand laughs: each list holds the one before ten times, 10^100 in all, and takes 25 bytes.
  std::string laughs = "]q\0"s;
  for (char level = 1; level <= 100; ++level) {
    laughs += "](";
    for (int i = 0; i < 10; ++i) laughs += {'h', static_cast<char>(level - 1)};
    laughs += {'e', 'q', level};
  }
  const std::string whole = "(" + laughs + "t.";
  CHECK(read(whole).nodes.size() == 102);
  // One list of 1,000 pairs, of which each of 10,000 dictionaries would be a copy: 9 bytes of the stream each.
  std::string copies = "(ccollections\nOrderedDict\nq\0]("s;
  for (int i = 0; i < 1000; ++i) copies += "K\1K\2\x86";
  copies += "e\x85q\1";
  for (int i = 0; i < 10'000; ++i) copies += "h\0h\1R"s;
  CHECK_THAT(refusal(copies), Contains("values"));
  CHECK(read(std::string(100'000, '(') + std::string(100'000, 't') + ".").nodes.size() == 100'000);  // deep, not wide
  CHECK(peak_memory() - before < 100);
}

TEST_CASE("streams have limits of values and objects") {
  CHECK_THAT(refusal(std::string((1 << 20) + 1, '}')), Contains("objects"));
  CHECK_THAT(refusal(std::string((4 << 20) + 1, 'N')), Contains("values"));
  CHECK_THAT(refusal(std::string((4 << 20) + 1, '(')), Contains("values"));
  CHECK_THAT(refusal("N" + std::string((4 << 20) + 1, '\x94')), Contains("values"));
}

TEST_CASE("a list that holds itself is read and let go") {
  const std::string bytes = "]q\0h\0a."s;
  const PickleDocument document = read(bytes);
  const PickleNode* const list = node_of(document.root, Kind::List);
  CHECK(node_of(list->items[0], Kind::List) == list);
}

TEST_CASE("damaged streams are read or refused, never more") {
  std::mt19937 random(7);  // NOLINT: the same each time
  int refused = 0;
  for (const auto& [protocol, golden] : kGolden) {
    const std::string bytes = from_hex(golden);
    for (std::size_t length = 0; length < bytes.size(); ++length) CHECK_THROWS_AS(read(bytes.substr(0, length)), Error);
    for (int i = 0; i < 500; ++i) {
      std::string damaged = bytes;
      for (unsigned flips = 1 + random() % 4; flips > 0; --flips)
        damaged[random() % damaged.size()] ^= static_cast<char>(1 << random() % 8);
      try {
        const std::size_t size = read(damaged).size;
        CHECK(size <= damaged.size());
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 500);
}
