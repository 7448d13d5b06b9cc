#include "halftone/data/idx.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_idx(Bytes file) { halftone::read_idx(MemoryFile(file).path()); }
