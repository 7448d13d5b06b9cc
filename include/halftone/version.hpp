#pragma once

/// The one place that holds the version; CMake reads it from here.
#define HALFTONE_VERSION "0.1.0"
