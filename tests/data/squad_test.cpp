#include "halftone/data/squad.hpp"

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "catch.hpp"
#include "failure.hpp"
#include "mutations.hpp"
#include "temp_dir.hpp"

using namespace halftone;
using Catch::Contains;

namespace {

const std::string kVocabulary =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\nwho\n?\nthe\ncaf\n##e\nin\nparis\n,\nopened\n1890\n.\nwhen\n";
const std::string kContext = "The Caf\xc3\xa9 in Paris, opened 1890.";  // 31 characters, 32 bytes

std::string file_of(const std::string& context, const std::string& questions) {
  return R"({"version":"1.1","data":[{"title":"x","paragraphs":[{"context":")" + context + R"(","qas":[)" + questions +
         "]}]}]}";
}

std::string question(const std::string& text, const std::string& answers) {
  return R"({"id":"1","question":")" + text + R"(","answers":[)" + answers + "]}";
}

const std::string kGood =
    file_of(kContext, question("When?", R"({"text":"1890","answer_start":26},{"text":"in 1890","answer_start":0})") +
                          "," + question("Who?", R"({"text":"Café in Paris","answer_start":4})"));

std::string good() {
  // "in 1890" does not stand in the context; the second answer is another part of it.
  std::string text = kGood;
  const std::string wrong = R"({"text":"in 1890","answer_start":0})";
  return text.replace(text.find(wrong), wrong.size(), R"({"text":"opened 1890","answer_start":19})");
}

class Folder {
 public:
  [[nodiscard]] DataOptions options() const {
    DataOptions options;
    options.input_names = {"input_ids", "token_type_ids", "attention_mask"};
    options.vocabulary = dir_.write("vocab.txt", kVocabulary);
    options.length_step = 1;
    return options;
  }
  [[nodiscard]] std::string write(const std::string& content) const { return dir_.write("x.json", content); }
  [[nodiscard]] std::unique_ptr<SquadDataset> open(const std::string& content, std::int64_t max_tokens = 0) const {
    DataOptions wanted = options();
    wanted.max_tokens = max_tokens;
    return open_squad(write(content), wanted);
  }

 private:
  TempDir dir_;
};

at::Tensor longs(std::vector<std::int64_t> values) { return at::tensor(values, at::kLong); }

using Answers = std::vector<std::string>;

}  // namespace

TEST_CASE("a question and its context are one sample, the answer two of its tokens") {
  const Folder folder;
  const auto data = folder.open(good());
  CHECK(data->size() == 2);
  CHECK_THAT(data->name(), Contains("squad:") && Contains("x.json"));
  const Batch batch = data->range(0, 1);
  CHECK(batch.inputs[0].equal(longs({2, 15, 5, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 3}).view({1, 14})));
  CHECK(batch.inputs[1].equal(longs({0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}).view({1, 14})));
  CHECK(batch.inputs[2].equal(at::ones({1, 14}, at::kLong)));
  CHECK(data->lengths() == std::vector<std::int64_t>{14, 14});
  CHECK(data->targets().slice(1, 0, 5).equal(longs({0, 11, 11, 4, 13, 1, 5, 8, 4, 13}).view({2, 5})));
  CHECK(data->targets().select(1, 5).eq(data->texts()->set()).all().item<bool>());
}

TEST_CASE("tokens give the text that they come from, and answers their words") {
  const Folder folder;
  const auto data = folder.open(good());
  CHECK(data->texts()->answers(0) == Answers{"1890", "opened 1890"});
  CHECK(data->texts()->answers(1) == Answers{"Caf\xc3\xa9 in Paris"});
  const auto row = data->targets()[1];
  CHECK(data->texts()->text(1, row[1].item<std::int64_t>(), row[2].item<std::int64_t>()) == "Caf\xc3\xa9 in Paris");
  CHECK(data->texts()->text(0, 4, 12) == kContext);
  CHECK(data->texts()->text(0, 6, 6) == "\xc3\xa9");
  for (const auto& [first, last] : {std::pair{3, 5}, {4, 13}, {6, 5}, {-1, -1}, {0, 3}})
    CHECK(data->texts()->text(0, first, last).empty());
  CHECK(failure([&] { static_cast<void>(data->texts()->text(2, 4, 4)); }).code == Errc::InvalidArgument);
  CHECK(failure([&] { static_cast<void>(data->texts()->answers(-1)); }).code == Errc::InvalidArgument);
}

TEST_CASE("sets of other texts or other tokens have other numbers") {
  const Folder folder;
  const std::int64_t set = folder.open(good())->texts()->set();
  CHECK(set > 0);
  CHECK(folder.open(good() + " ")->texts()->set() == set);
  CHECK(folder.open(good(), 13)->texts()->set() != set);
  CHECK(folder.open(file_of(kContext, question("When?", R"({"text":"1890","answer_start":26})")))->texts()->set() !=
        set);
}

TEST_CASE("a context that does not fit is cut at its end, and answers there are lost") {
  const Folder folder;
  CHECK(folder.open(good(), 13)->targets()[0].slice(0, 0, 5).equal(longs({0, 11, 11, 4, 12})));
  CHECK(folder.open(good(), 12)->targets()[0].slice(0, 0, 5).equal(longs({0, -1, -1, 4, 11})));
  CHECK(folder.open(good(), 10)->targets()[1].slice(0, 0, 5).equal(longs({1, 5, 8, 4, 9})));
  CHECK(folder.open(good(), 9)->targets()[1].slice(0, 0, 5).equal(longs({1, -1, -1, 4, 8})));
  const auto none = folder.open(good(), 5);
  CHECK(none->targets()[0].slice(0, 0, 5).equal(longs({0, -1, -1, 4, 4})));
  CHECK(none->texts()->text(0, 4, 4).empty());
}

TEST_CASE("an answer that ends in dropped characters is whole") {
  const Folder folder;
  const std::string context = "The Cafe\xcc\x81";  // e and a combining accent
  const std::string content = file_of(context, question("Who?", R"({"text":"Cafe\u0301","answer_start":4})"));
  CHECK(folder.open(content)->targets()[0].slice(0, 0, 5).equal(longs({0, 5, 6, 4, 7})));
}

TEST_CASE("texts are cut to 384 tokens by default") {
  const Folder folder;
  std::string context;
  for (int i = 0; i < 500; ++i) context += "the ";
  const auto content = file_of(context, question("who", R"({"text":"the","answer_start":0})"));
  CHECK(folder.open(content)->lengths() == std::vector<std::int64_t>{384});
}

TEST_CASE("parts of the questions keep their numbers in the set") {
  const Folder folder;
  const auto part = open_dataset("squad:" + folder.write(good()) + "[1:]", folder.options());
  CHECK(part->targets().slice(1, 0, 5).equal(longs({1, 5, 8, 4, 13}).view({1, 5})));
  CHECK(part->digest() != folder.open(good())->digest());
}

TEST_CASE("files that are not SQuAD v1.1 are refused") {
  const Folder folder;
  const auto refused = [&](const std::string& content, Errc code = Errc::BadFile) {
    const Failure bad = failure([&] { static_cast<void>(folder.open(content)); });
    CHECK(bad.code == code);
    CHECK_THAT(bad.text, Contains("x.json"));
    return bad.text;
  };
  const auto answered = [](const std::string& answers) { return file_of(kContext, question("Who?", answers)); };
  CHECK_THAT(refused(""), Contains("not valid JSON"));
  CHECK_THAT(refused(good().substr(0, 100)), Contains("not valid JSON at its byte"));
  CHECK_THAT(refused(good() + std::string(1, '\0')), Contains("zero byte"));
  CHECK_THAT(refused("\"\xff\""), Contains("not valid JSON"));
  CHECK_THAT(refused(std::string(100000, '[')), Contains("nested deeper than 16"));
  CHECK_THAT(refused("[]"), Contains("there is no \"data\""));
  CHECK_THAT(refused(R"({"data":{}})"), Contains("\"data\" is no list"));
  CHECK_THAT(refused(R"({"data":[]})"), Contains("holds no questions"));
  CHECK_THAT(refused(R"({"data":[{"paragraphs":[{"context":3}]}]})"), Contains("\"context\" is no text"));
  CHECK_THAT(refused(answered(""), Errc::Unsupported), Contains("question 0: it has no answers"));
  CHECK_THAT(refused(answered(R"({"text":"1890"})")), Contains("no \"answer_start\""));
  for (const char* start : {"-1", "31", "1.5", "\"4\"", "18446744073709551615"})
    CHECK_THAT(refused(answered(R"({"text":"1890","answer_start":)" + std::string(start) + "}")),
               Contains("is no number from 0 to 30"));
  CHECK_THAT(refused(answered(R"({"text":"1890","answer_start":30})")), Contains("does not stand at character 30"));
  CHECK_THAT(refused(answered(R"({"text":"1890","answer_start":25})")), Contains("does not stand at character 25"));
  CHECK_THAT(refused(answered(R"({"text":"","answer_start":0})")), Contains("an answer is empty"));
}

TEST_CASE("damaged files of questions are read or refused") {
  const Folder folder;
  const int refused = refused_mutations(good(), 23, 300, [&](const std::string& bytes) {
    const auto data = folder.open(bytes);
    CHECK(data->range(0, data->size()).inputs[0].size(0) == data->size());
  });
  CHECK(refused > 100);
}

// Checked with the functions of SQuAD's evaluation script, version 1.1.
TEST_CASE("answers are compared by their words") {
  struct Case {
    std::string prediction, answer;
    double f1;
    bool exact;
  };
  for (const auto& [prediction, answer, f1, exact] : std::vector<Case>{
           {"Denver Broncos", "Denver Broncos", 1, true},
           {"the Denver  Broncos!", "denver broncos", 1, true},
           {"The Broncos", "Denver Broncos", 2. / 3, false},
           {"Broncos Denver", "Denver Broncos", 1, false},
           {"a a a", "the", 0, true},
           {"", "", 0, true},
           {"", "x", 0, false},
           {"x x x", "x x", 0.8, false},
           {"in the year 1890", "1890", 0.5, false},
           {"1,890", "1890", 1, true},
           {"anthem", "an them", 0, false},
           {"U.S.A.", "usa", 1, true},
           {"a-b", "ab", 1, true},                        // punctuation goes before articles
           {"a\xe2\x80\x93z", "\xe2\x80\x93z", 1, true},  // a dash that is not ASCII ends an article
           {"theory", "ory", 0, false},
           {"\xc3\x89t\xc3\xa9", "\xc3\xa9t\xc3\xa9", 1, true},  // lower case beyond ASCII
           {"x\xc2\xa0y\xe3\x80\x80z", "x y z", 1, true},        // white space beyond ASCII
           {"1990s the end", "1990s end", 1, true},
       }) {
    CAPTURE(prediction, answer);
    const Answers answers{answer};
    CHECK(squad_f1(prediction, answers) == Approx(f1).margin(1e-15));
    CHECK(exact_match(prediction, answers) == exact);
  }
}

TEST_CASE("the best of several answers counts") {
  const Answers answers{"Paris, France", "Paris", "the city of light"};
  CHECK(squad_f1("in Paris", answers) == Approx(2. / 3));
  CHECK(exact_match("Paris", answers));
  CHECK_FALSE(exact_match("France", answers));
  CHECK(squad_f1("Rome", answers) == 0);
}
