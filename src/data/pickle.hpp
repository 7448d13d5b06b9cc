#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Python's pickle format read as plain data: nothing that a stream names is looked up, called or constructed.
namespace halftone::internal {

struct PickleNode;

struct PickleText {
  std::string_view text;
};
/// Raw bytes; of an integer that 64 bits cannot hold: little-endian, two's complement.
struct PickleBytes {
  std::string_view bytes;
};

/// None, a number, a text or bytes inside the stream, or a node of the document.
using PickleValue =
    std::variant<std::monostate, bool, std::int64_t, double, PickleText, PickleBytes, const PickleNode*>;

struct PickleNode {
  enum class Kind : std::uint8_t {
    Tuple,
    List,
    Set,
    Dict,        ///< `items` are key, value, key, value …
    Global,      ///< `name` is "module.name"
    Call,        ///< `items` are the Global to be called and the Tuple of its arguments; nobody calls it
    Persistent,  ///< `items` is what the writer knows an object outside the stream by
  };
  Kind kind;
  std::string name{};
  std::vector<PickleValue> items{};
};

/// The node that `value` is, where it is one of that kind; else null.
const PickleNode* node_of(const PickleValue& value, PickleNode::Kind kind);

std::optional<std::string_view> text_of(const PickleValue& value);

/// The global that `value` is a call of: "torch.Size"; empty where it is no call.
std::string_view callee_of(const PickleValue& value);
const std::vector<PickleValue>& arguments_of(const PickleValue& call);

struct PickleDocument {
  std::deque<PickleNode> nodes;  ///< in the order in which they begin; a node may hold itself
  PickleValue root;
  std::size_t size = 0;  ///< bytes of the stream, its end mark included
};

struct PickleOptions {
  std::string where;                                        ///< in messages, before all else: "torch file \"x.pt\""
  std::function<bool(const std::string& name)> is_allowed;  ///< whether a stream may name this global, "module.name"
};

/// Reads the stream at the beginning of `bytes`, which must outlive the document. Protocols 2 to 5, as far as Python
/// writes them for data. Calls of collections.OrderedDict and the like become a Dict; attributes set after construction
/// are left out. Throws `BadFile` for a malformed stream and `Unsupported` for a global that is not allowed, or an
/// instruction that no present Python writes. Memory: at most 100 bytes for each of the stream, and 400 MB.
/// Source: the Python source's pickletools module, which documents every instruction.
PickleDocument read_pickle(std::span<const std::byte> bytes, const PickleOptions& options);

}  // namespace halftone::internal
