#include "halftone/core/error.hpp"
#include "halftone/data/dataset.hpp"
#include "hostile/memory_file.hpp"
#include "hostile/vocabulary.hpp"

void hostile::read_sentence_pairs(Bytes file) {
  const MemoryFile vocabulary(std::as_bytes(std::span(kVocabulary)));
  halftone::DataOptions options;
  options.input_names = {"input_ids"};
  options.vocabulary = vocabulary.path().string();
  halftone::open_sentence_pairs(MemoryFile(file).path().string(), options);
}
