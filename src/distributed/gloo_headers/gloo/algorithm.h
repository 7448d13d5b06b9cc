#pragma once
// c10d includes this header of gloo, which LibTorch does not ship, and uses nothing of it where Halftone includes c10d.
