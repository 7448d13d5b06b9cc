#include "report/document.hpp"

#include "halftone/core/error.hpp"

namespace halftone::internal {

void Document::start_block() {
  if (!text_.empty()) text_ += '\n';
}

void Document::heading(const std::string& text) {
  if (!is_markdown_) return;
  start_block();
  text_ += message("## ", escaped_markdown(text), '\n');
}

void Document::paragraph(const std::string& text) {
  start_block();
  text_ += (is_markdown_ ? escaped_markdown(text) : wrapped(text)) + '\n';
}

void Document::warning(const std::string& text) {
  start_block();
  text_ += is_markdown_ ? message("> **Note:** ", escaped_markdown(text), '\n') : message("! ", wrapped(text, 2), '\n');
}

void Document::table(const std::string& caption, const TextTable& table) {
  if (!caption.empty()) paragraph(caption);
  if (caption.empty() || is_markdown_) start_block();
  text_ += is_markdown_ ? table.markdown() : table.text();
}

}  // namespace halftone::internal
