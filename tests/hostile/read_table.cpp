#include "halftone/latency/table.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_table(Bytes file) { halftone::TableLatency::read(MemoryFile(file).path()); }
