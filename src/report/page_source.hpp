#pragma once

#include <string_view>

/// The page that report.html is made from; its source is made by cmake/page_source.cmake.
namespace halftone::internal {

extern const bool kPageHasPlots;
/// Has <!--halftone:NAME--> where a run's own texts go.
extern const std::string_view kPage;

}  // namespace halftone::internal
