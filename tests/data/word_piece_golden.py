"""Writes word_piece_golden.hpp: ids that Hugging Face's tokenizers 0.23.3 (BertNormalizer, BertPreTokenizer, WordPiece,
the vocabulary of these tests) gives for texts that are hard to read. Install that package into an environment of its
own and print to the header."""
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] the quick fox ##es ##x un ##aff ##able run ##ning a ##a b ##b e ##e i ##i
o ##o u ##u c ##c n ##n s ##s ss ##ss strasse ist ##an ##bul caf ##fe nai ##ve ! # $ ' ( ) * , - . / : ; < > ? @ [ ] ^ _
` { } ~ " & % + = \\ | \u4e2d \u6587 \u1112 ##\u1161 ##\u11ab \u0131 ##\u0131 \u00df ##\u00df \u03c3 ##\u03c3 \u03c2 ##\u03c2
\u03bf ##\u03bf \u03b4 ##\u03b4 \u03c5 ##\u03c5 \u03b5 ##\u03b5 \U0001f469 ##\U0001f469 \U0001f467 ##\U0001f467 \u2764
##\u2764 \u05d0 ##\u05d0 \u0645 ##\u0645 \ufb01 ##\ufb01 \U0001d400 ##\U0001d400 \u2010 \u2019 \u00ab \u00bb \u3002 \u30ab
##\u30ab 1 ##1 2 ##2 \u00bd ##\u00bd I CAF Fox \u00e9 ##\u00e9 ##\u0301""".split()

PAGE = [
    "", " ", "The quick foxes!", "unaffable running unaffables", "[MASK] the[SEP] fox [mask] [CLS [UNK][PAD]",
    "caf\u00e9 cafe\u0301 CAF\u00c9 na\u00efve", "a\u0301\u0323\u0302a \u0301", "e\u0301" * 30,  # combining accents
    "the\u4e2d\u6587fox \u4e2d\u0301 \uf900 \U0002f800 \U00020000 \U0002b740 \U0002b920",  # ideographs
    "\ud55c\ud55c \u1112\u1161\u11ab \u30ab\u30ac",  # Hangul, Katakana
    "\U0001f469\u200d\u2764\ufe0f\u200d\U0001f469 \U0001f469\u200d\U0001f467 \u2764\ufe0e",  # emoji, joiners, variations
    "\u05d0\u05b0\u202e\u05d0 \u0645\u064e\u0645", "the\u200bfox \ufefffox fo\u2060x \u200e\u200fa",  # right to left
    "fo\0x \x01\x02the\x7f\x85a\x1b b\x0bb\x0cb", "a\tb\nc\ra\r\nb",  # control characters
    "\ufb01 \ufb01a", "I\u0130\u0131i istanbul \u0130stanbul", "STRASSE stra\u00dfe \u1e9e\u00df",
    "\u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03a3 \u03c2", "\U0001d400\U0001d400 a\U0001d400",
    "fo\u00adx the\u00a0fox\u2003a\u3000b\u1680c\u2028a\u2029b\u202fc\u205fa", "\ue000fox \U000f0000a\U0010fffd",
    "\ufffd fo\ufffdx", "\uffff a\ufdd0", "a" * 100, "a" * 101, "a" * 100 + "\u0301", "\u0301" * 200 + "a" * 99 + " b",
    "##es fox##es ##", "it's \u2019a\u2019 \u00aba\u00bb a\u2010b a-b\u3002 $1.2 ~`^{|}\\ x_", "1\u00bd2 \u2764a",
    "a\u0345b \u212b\u2126 \u1e69\u1e0b\u0323 \u0958 \u0344", "the" + "\u2000" * 3 + "fox", "\u180ea \u2061b \u206ac",
]


def tokenizer(lower_case):
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    assert len(vocabulary) == len(VOCABULARY)
    result = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    result.normalizer = normalizers.BertNormalizer(lowercase=lower_case)
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    result.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in VOCABULARY[:5]])
    return result


def literal(text):
    return '"' + "".join(f"\\{byte:03o}" if not 32 <= byte < 127 or byte in b'"\\?' else chr(byte) for byte in text.encode()) + '"'


def numbers(values):
    return "{" + ", ".join(map(str, values)) + "}"


lower, cased = tokenizer(True), tokenizer(False)
print("#pragma once\n\n// Made by word_piece_golden.py.\n// clang-format off\n\n#include <cstdint>\n#include <string_view>")
print("#include <vector>\n\nnamespace halftone::golden {\n\nusing namespace std::string_view_literals;\n")
print("/// A token a line.\ninline constexpr std::string_view kVocabulary =")
print("\n".join("    " + literal(token + "\n").replace("\\012", "\\n") for token in VOCABULARY) + ";\n")
print("/// A text, its ids in lower case and as it is (without [CLS] and [SEP]), and the characters, begin and end, of the\n"
      "/// former.\nstruct Text {\n  std::string_view text;\n  std::vector<std::int64_t> lower_case, cased, spans;\n};\n")
print("inline const std::vector<Text> kPage{")
for text in PAGE:
    encoded = lower.encode(text)
    spans = [end for span in encoded.offsets for end in span]
    print(f"    {{{literal(text)}sv, {numbers(encoded.ids)}, {numbers(cased.encode(text).ids)}, {numbers(spans)}}},")
print("};\n\n}  // namespace halftone::golden")
