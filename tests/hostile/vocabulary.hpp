#pragma once

#include <string_view>

namespace hostile {

/// vocab.txt of the readers of texts.
constexpr std::string_view kVocabulary =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\nsat\non\na\nmat\nwho\n?\n.\n##t\n##h\n\xc3\xa9\n\xe4\xb8\xad\n";

}  // namespace hostile
