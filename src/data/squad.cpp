#include "halftone/data/squad.hpp"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "core/json_check.hpp"
#include "data/sample_index.hpp"
#include "data/token_samples.hpp"
#include "data/tsv.hpp"
#include "halftone/core/digest.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/file.hpp"

namespace halftone {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxTokens = 384;
constexpr std::int64_t kTargets = 6;

/// A text whose characters are found by number.
class Context {
 public:
  explicit Context(std::string text) : text_(std::move(text)) {
    for (std::size_t i = 0; i < text_.size(); ++i)
      if ((static_cast<unsigned char>(text_[i]) & 0xC0) != 0x80) starts_.push_back(i);
    starts_.push_back(text_.size());
  }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::int64_t size() const { return std::ssize(starts_) - 1; }
  /// Characters begin to end-1, which are within the text.
  [[nodiscard]] std::string_view part(TextSpan span) const {
    const std::size_t begin = starts_[static_cast<std::size_t>(span.begin)];
    return std::string_view(text_).substr(begin, starts_[static_cast<std::size_t>(span.end)] - begin);
  }

 private:
  std::string text_;
  std::vector<std::size_t> starts_;  ///< byte of every character, and the number of bytes
};

struct Question {
  std::size_t context = 0;
  std::string text;
  TextSpan answer;  ///< the first, in characters of the context
  std::vector<std::string> answers;
};

struct Content {
  std::vector<Context> contexts;
  std::vector<Question> questions;
};

std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

/// One file's checks; every failure names the file and the question.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  Content read() {
    const json file = parse();
    for (const json& article : list(file, "data"))
      for (const json& paragraph : list(article, "paragraphs")) read_paragraph(paragraph);
    if (content_.questions.empty()) fail("it holds no questions");
    return std::move(content_);
  }

 private:
  [[noreturn]] void fail(const std::string& what, Errc code = Errc::BadFile) const {
    throw Error(code, message("questions \"", path_, "\", question ", content_.questions.size(), ": ", what));
  }

  json parse() const {
    static constexpr int kDeepest = 16;
    const std::string text = read_text(path_);
    if (text.find('\0') != text.npos) fail("the file is not JSON: it holds a zero byte");
    internal::JsonLimits limits;
    limits.deepest = kDeepest;
    limits.too_deep = [this] { fail(message("the file is nested deeper than ", kDeepest, " levels")); };
    internal::check_json(text, std::move(limits));
    try {
      return json::parse(text);
    } catch (const json::parse_error& error) {
      fail(message("the file is not valid JSON at its byte ", error.byte));
    } catch (const json::exception&) {
      fail("the file is not valid JSON: a number is out of range");
    }
  }

  const json& field(const json& object, const char* name) const {
    if (!object.is_object() || !object.contains(name))
      fail(message("there is no \"", name, "\": SQuAD v1.1 is data > paragraphs > context, qas > question, answers > ",
                   "text, answer_start"));
    return object[name];
  }

  const json& list(const json& object, const char* name) const {
    const json& value = field(object, name);
    if (!value.is_array()) fail(message('"', name, "\" is no list"));
    return value;
  }

  const std::string& text(const json& object, const char* name) const {
    const json& value = field(object, name);
    if (!value.is_string()) fail(message('"', name, "\" is no text"));
    return value.get_ref<const std::string&>();
  }

  void read_paragraph(const json& paragraph) {
    content_.contexts.emplace_back(text(paragraph, "context"));
    for (const json& question : list(paragraph, "qas")) read_question(question);
  }

  void read_question(const json& value) {
    Question question;
    question.context = content_.contexts.size() - 1;
    question.text = text(value, "question");
    for (const json& answer : list(value, "answers")) {
      const TextSpan span = read_answer(answer);
      if (question.answers.empty()) question.answer = span;
      question.answers.push_back(text(answer, "text"));
    }
    if (question.answers.empty())
      fail("it has no answers: only SQuAD v1.1 is read, where every question has one", Errc::Unsupported);
    content_.questions.push_back(std::move(question));
  }

  TextSpan read_answer(const json& answer) const {
    const std::string& words = text(answer, "text");
    const json& start = field(answer, "answer_start");
    const Context& context = content_.contexts.back();
    if (words.empty()) fail("an answer is empty");
    if (!start.is_number_unsigned() || start.get<std::uint64_t>() >= static_cast<std::uint64_t>(context.size()))
      fail(message("\"answer_start\" is no number from 0 to ", context.size() - 1, ", a character of the context"));
    const auto begin = start.get<std::int64_t>();
    const TextSpan span{begin, begin + characters(words)};
    if (span.end > context.size() || context.part(span) != words)
      fail(message("the answer ", internal::quoted(words), " does not stand at character ", begin, " of its context"));
    return span;
  }

  std::string path_;
  Content content_;
};

/// Where a sample's context begins, and what its tokens are of it.
struct Place {
  std::int64_t begin = 0;
  std::vector<TextSpan> spans;
};

class Texts final : public SquadTexts {
 public:
  Texts(std::string name, Content content) : name_(std::move(name)), content_(std::move(content)) {}

  [[nodiscard]] const Content& content() const { return content_; }
  /// Of the next question.
  void add(Place place) { places_.push_back(std::move(place)); }
  /// Once all places are there.
  void finish();

  [[nodiscard]] std::int64_t set() const override { return set_; }
  [[nodiscard]] const std::vector<std::string>& answers(std::int64_t question) const override {
    return content_.questions[index(question)].answers;
  }
  [[nodiscard]] std::string text(std::int64_t question, std::int64_t first, std::int64_t last) const override {
    const Place& place = places_[index(question)];
    if (first < place.begin || first > last || last - place.begin >= std::ssize(place.spans)) return {};
    const TextSpan span{place.spans[static_cast<std::size_t>(first - place.begin)].begin,
                        place.spans[static_cast<std::size_t>(last - place.begin)].end};
    return std::string(content_.contexts[content_.questions[index(question)].context].part(span));
  }

 private:
  [[nodiscard]] std::size_t index(std::int64_t question) const {
    if (question < 0 || question >= std::ssize(places_))
      throw Error(Errc::InvalidArgument,
                  message("question ", question, " of ", name_, ": it has ", places_.size(), ", counted from 0"));
    return static_cast<std::size_t>(question);
  }

  std::string name_;
  Content content_;
  std::vector<Place> places_;
  std::int64_t set_ = 0;
};

void Texts::finish() {
  Digest digest;
  for (const Context& context : content_.contexts) digest.add(context.text());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Question& question = content_.questions[i];
    digest.add(static_cast<std::int64_t>(question.context)).add(places_[i].begin);
    for (const std::string& answer : question.answers) digest.add(answer);
    for (const TextSpan& span : places_[i].spans) digest.add(span.begin).add(span.end);
  }
  constexpr std::size_t kDigits = 15;  // 60 bits: it stays positive
  constexpr int kHexadecimal = 16;
  set_ = std::stoll(digest.hex().substr(0, kDigits), nullptr, kHexadecimal);
}

class Squad final : public SquadDataset {
 public:
  Squad(const std::string& path, const DataOptions& options)
      : name_("squad:" + path), samples_(name_, options, kMaxTokens) {
    auto texts = std::make_shared<Texts>(name_, Reader(path).read());
    std::vector<std::int64_t> targets;
    for (std::size_t i = 0; i < texts->content().questions.size(); ++i) add(i, *texts, targets);
    texts->finish();
    targets_ = at::tensor(targets, at::kLong).view({-1, kTargets});
    targets_.select(1, kTargets - 1).fill_(texts->set());
    texts_ = std::move(texts);
  }

  std::int64_t size() const override { return samples_.size(); }
  Batch get(std::span<const std::int64_t> indices) const override {
    for (const std::int64_t index : indices) internal::require_sample(*this, index);
    const at::Tensor rows = at::tensor(c10::IntArrayRef(indices.data(), indices.size()), at::kLong);
    return {samples_.inputs(indices), targets_.index_select(0, rows)};
  }
  at::Tensor targets() const override { return targets_; }
  std::string name() const override { return name_; }
  std::vector<std::int64_t> lengths() const override { return samples_.lengths(); }
  std::shared_ptr<const SquadTexts> texts() const override { return texts_; }

 private:
  void add(std::size_t number, Texts& texts, std::vector<std::int64_t>& targets);

  std::string name_;
  internal::TokenSamples samples_;
  std::shared_ptr<const Texts> texts_;
  at::Tensor targets_;
};

void Squad::add(std::size_t number, Texts& texts, std::vector<std::int64_t>& targets) {
  const Question& question = texts.content().questions[number];
  const Context& context = texts.content().contexts[question.context];
  EncodedPair pair = samples_.word_piece().encode_pair(question.text, context.text(), samples_.max_tokens());
  const auto& spans = pair.spans;
  // Tokens that hold characters of the answer.
  const auto first = std::partition_point(spans.begin(), spans.end(),
                                          [&](const TextSpan& span) { return span.end <= question.answer.begin; });
  const auto behind =
      std::partition_point(first, spans.end(), [&](const TextSpan& span) { return span.begin < question.answer.end; });
  // What ends before the answer may lack no more than dropped characters, unless the context was cut there.
  const bool cut = std::ssize(pair.ids) == samples_.max_tokens();
  const bool whole =
      first != behind && (!cut || behind != spans.end() || std::prev(behind)->end >= question.answer.end);
  const auto position = [&](auto at) { return pair.second + (at - spans.begin()); };
  targets.insert(targets.end(), {static_cast<std::int64_t>(number), whole ? position(first) : -1,
                                 whole ? position(behind) - 1 : -1, pair.second, position(spans.end()), 0});
  samples_.add(std::move(pair.ids), std::move(pair.types));
  texts.add({pair.second, std::move(pair.spans)});
}

}  // namespace

std::unique_ptr<SquadDataset> open_squad(const std::string& path, const DataOptions& options) {
  return std::make_unique<Squad>(path, options);
}

}  // namespace halftone
