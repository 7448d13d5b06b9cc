#include "halftone/data/word_piece.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_vocabulary(Bytes file) {
  const halftone::WordPiece words(MemoryFile(file).path());
  words.encode_pair("The cats sat.", text_of(file), /*max_tokens=*/64);
}
