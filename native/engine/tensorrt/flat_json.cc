#include "flat_json.h"

#include <stdexcept>
#include <utility>

namespace framebus::tensorrt {
namespace {

bool is_one_of(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::map<std::string, std::string, std::less<>> object() {
    std::map<std::string, std::string, std::less<>> values;
    expect('{');
    if (take('}')) return end(std::move(values));
    do {
      std::string key = string();
      expect(':');
      if (!values.emplace(std::move(key), value()).second) fail("a key that is there already");
    } while (take(','));
    expect('}');
    return end(std::move(values));
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::invalid_argument(what + " at byte " + std::to_string(at_));
  }
  void skip_space() {
    while (at_ < text_.size() && is_one_of(text_[at_], " \t\r\n")) ++at_;
  }
  bool take(char wanted) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) fail(std::string("no ") + wanted);
  }
  template <class Values>
  Values end(Values values) {
    skip_space();
    if (at_ != text_.size()) fail("more than one object");
    return values;
  }

  std::string string() {
    expect('"');
    std::string out;
    for (;;) {
      if (at_ >= text_.size()) fail("a string that does not end");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < ' ') fail("a control character");
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
  }

  void escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (at_ >= text_.size()) fail("a string that does not end");
    const char letter = text_[at_++];
    const size_t index = kLetters.find(letter);
    if (index != std::string_view::npos) {
      out += kMeanings[index];
      return;
    }
    if (letter != 'u' || text_.size() - at_ < 4) fail("an escape that is none");
    // Nothing here needs what lies beyond ASCII.
    at_ += 4;
    out += '?';
  }

  std::string value() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '"') return string();
    const size_t start = at_;
    while (at_ < text_.size() && !is_one_of(text_[at_], ",} \t\r\n")) ++at_;
    const std::string_view word = text_.substr(start, at_ - start);
    const bool number = word.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
    if (!word.empty() && (number || word == "true" || word == "false" || word == "null")) {
      return std::string(word);
    }
    fail("a value that is no string, number, true, false or null");
  }

  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::map<std::string, std::string, std::less<>> parse_flat_json(std::string_view text) {
  return Reader(text).object();
}

}  // namespace framebus::tensorrt
