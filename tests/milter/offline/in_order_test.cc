#include "milter/offline/in_order.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <random>
#include <thread>

namespace {

using namespace offline;

struct Told {
  std::vector<std::string> lines;  // results and outcomes, as they were given
  bool same_thread = true;
};

// A file's name is the number of its messages; the first files take longest.
Told read(const std::vector<std::string>& files, unsigned jobs) {
  Told told;
  std::atomic<unsigned> at_a_time{0};
  std::atomic<bool> too_many{false};
  const auto caller = std::this_thread::get_id();
  const auto tell = [&](std::string line) {
    told.same_thread = told.same_thread && std::this_thread::get_id() == caller;
    told.lines.push_back(std::move(line));
  };
  read_in_order(
      files, jobs,
      {.read =
           [&](const std::string& file, const OnResult& on_result) {
             if (++at_a_time > jobs) too_many = true;
             const auto messages = static_cast<std::uint32_t>(std::stoul(file));
             for (std::uint32_t i = 1; i <= messages; ++i) {
               if (i % 97 == 0) std::this_thread::yield();
               on_result({.file = file, .message = i});
             }
             --at_a_time;
             return Outcome{.warning = file + " was read", .messages = messages};
           },
       .on_result =
           [&](Result&& result) { tell(result.file + " #" + std::to_string(result.message)); },
       .on_outcome = [&](const std::string& file,
                         const Outcome& outcome) { tell(file + ": " + outcome.warning); },
       .before_wait =
           [&] { told.same_thread = told.same_thread && std::this_thread::get_id() == caller; }});
  CHECK_FALSE(too_many);
  return told;
}

}  // namespace

TEST_CASE("however many jobs, results and outcomes come in the order of the files") {
  // More results than a queue has room for, files without results, and more files than are begun
  // ahead.
  std::vector<std::string> files = {"3000", "0", "1", "2000", "0"};
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) files.push_back(std::to_string(random() % 40));
  const Told one = read(files, 1);
  CHECK(one.lines.size() > 5000 + files.size());
  CHECK(one.lines[0] == "3000 #1");
  CHECK(one.lines[3000] == "3000: 3000 was read");
  for (const unsigned jobs : {2U, 3U, 8U, 100U}) {
    INFO(jobs << " jobs");
    const Told many = read(files, jobs);
    CHECK(many.lines == one.lines);
    CHECK(many.same_thread);
  }
}

TEST_CASE("an exception of a step reaches the caller, and every reader ends") {
  const std::vector<std::string> files(20, "file");
  const auto run = [&](unsigned jobs, bool reader_throws) {
    std::atomic<int> readers{0};
    const auto none = [] {};
    CHECK_THROWS_WITH(read_in_order(files, jobs,
                                    {.read =
                                         [&](const std::string& file, const OnResult& on_result) {
                                           ++readers;
                                           for (int i = 0; i < 1000; ++i) on_result({.file = file});
                                           --readers;
                                           if (reader_throws) throw std::runtime_error("a reader");
                                           return Outcome{};
                                         },
                                     .on_result =
                                         [&](Result&&) {
                                           if (!reader_throws)
                                             throw std::runtime_error("the printer");
                                         },
                                     .on_outcome = [](const std::string&, const Outcome&) {},
                                     .before_wait = none}),
                      reader_throws ? "a reader" : "the printer");
    CHECK((jobs == 1 || readers == 0));
  };
  for (const unsigned jobs : {1U, 4U}) {
    run(jobs, true);
    run(jobs, false);
  }
}

TEST_CASE("without files nothing is done") {
  CHECK(read({}, 4).lines.empty());
}
