// The smallest test kit that prints what failed and counts honestly.
//   TEST("sentence") { CHECK(a == b); }
//   int main() { return framebus::test::run_all(); }
#pragma once

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace framebus::test {

struct Case {
  const char* name;
  void (*body)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Register {
  Register(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Out of line: a test has hundreds of checks, and the compiler would instrument each.
[[noreturn, gnu::cold, gnu::noinline]] inline void fail(const char* file, int line,
                                                        const char* condition) {
  throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + condition);
}

inline int run_all() {
  int failed = 0;
  for (const Case& c : cases()) {
    try {
      c.body();
      std::printf("ok - %s\n", c.name);
    } catch (const std::exception& e) {
      ++failed;
      std::printf("not ok - %s: %s\n", c.name, e.what());
    }
    std::fflush(stdout);
  }
  std::printf("%zu passed, %d failed\n", cases().size() - static_cast<size_t>(failed), failed);
  std::fflush(stdout);  // The leak check may end the process before its own flush.
  return failed == 0 ? 0 : 1;
}

}  // namespace framebus::test

#define FB_JOIN_(a, b) a##b
#define FB_JOIN(a, b) FB_JOIN_(a, b)
#define TEST(name)                                                         \
  static void FB_JOIN(test_body_, __LINE__)();                             \
  static const framebus::test::Register FB_JOIN(test_register_, __LINE__){ \
      name, &FB_JOIN(test_body_, __LINE__)};                               \
  static void FB_JOIN(test_body_, __LINE__)()
#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) framebus::test::fail(__FILE__, __LINE__, #condition); \
  } while (false)
