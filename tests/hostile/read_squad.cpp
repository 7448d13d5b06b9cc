#include "halftone/data/squad.hpp"
#include "hostile/memory_file.hpp"
#include "hostile/vocabulary.hpp"

void hostile::read_squad(Bytes file) {
  const MemoryFile vocabulary(std::as_bytes(std::span(kVocabulary)));
  halftone::DataOptions options;
  options.input_names = {"input_ids", "attention_mask", "token_type_ids"};
  options.vocabulary = vocabulary.path().string();
  halftone::open_squad(MemoryFile(file).path().string(), options);
}
