#include "milter/process/running_config.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

using process::RunningConfig;

namespace {

constexpr auto kStarted = "[capture]\nmethod = \"read\"\n[policy]\nreject = 9\n";

RunningConfig started(const std::string& file = "test.toml") {
  return {config::parse(kStarted, file), file, config::Secrets::Leave};
}

// A file that is removed with the test.
class File {
 public:
  explicit File(const std::string& text) { write(text); }
  ~File() { std::filesystem::remove(path_); }
  void write(const std::string& text) { std::ofstream(path_) << text; }
  std::string path() const { return path_; }

 private:
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("running-" + std::to_string(::getpid()) + ".toml");
};

}  // namespace

TEST_CASE("a reload changes only settings that need no restart") {
  RunningConfig running = started();
  CHECK(running.reload("[capture]\nmethod = \"off\"\n[policy]\nreject = 20\n"));
  CHECK(running->policy.reject == 20);
  CHECK(running->capture.method == config::Capture::Method::Read);
}

TEST_CASE("a text with an error in it changes nothing") {
  RunningConfig running = started();
  CHECK_FALSE(running.reload("[policy]\nreject = \"much\"\n"));
  CHECK_FALSE(running.reload("[policy\n"));
  CHECK(running->policy.reject == 9);
}

TEST_CASE("a configuration that was shared stays as it was") {
  RunningConfig running = started();
  const auto before = running.share();
  REQUIRE(running.reload("[policy]\nreject = 20\n"));
  CHECK(before->policy.reject == 9);
  CHECK(running.share()->policy.reject == 20);
}

TEST_CASE("the file is read again, and its text is returned for the other processes") {
  File file(kStarted);
  RunningConfig running = started(file.path());
  file.write("[policy]\nreject = 20\n");
  CHECK(running.reload_file() == "[policy]\nreject = 20\n");
  CHECK(running->policy.reject == 20);
  file.write("[policy\n");
  CHECK_FALSE(running.reload_file());
  CHECK(running->policy.reject == 20);
}

TEST_CASE("a missing file changes nothing") {
  RunningConfig running = started("/nonexistent/test.toml");
  CHECK_FALSE(running.reload_file());
  CHECK(running->policy.reject == 9);
}
