#include "halftone/data/npy.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_npy(Bytes file) { halftone::read_npy(MemoryFile(file).path()); }
