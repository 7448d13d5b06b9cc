#include "halftone/sensitivity/sensitivity_file.hpp"
#include "hostile/memory_file.hpp"

void hostile::read_sensitivity(Bytes file) { halftone::read_sensitivity_file(MemoryFile(file).path()); }
