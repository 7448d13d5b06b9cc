#pragma once

#include <string>

#include "report/text.hpp"

namespace halftone::internal {

/// A report under way, as plain text of at most 100 columns or as Markdown: paragraphs and tables, a blank line apart.
class Document {
 public:
  enum class Format { Text, Markdown };

  explicit Document(Format format) : is_markdown_(format == Format::Markdown) {}

  /// Heads what follows; Markdown only, in plain text captions do.
  void heading(const std::string& text);
  void paragraph(const std::string& text);
  void warning(const std::string& text);
  /// `caption` may be empty.
  void table(const std::string& caption, const TextTable& table);

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void start_block();

  bool is_markdown_;
  std::string text_;
};

}  // namespace halftone::internal
