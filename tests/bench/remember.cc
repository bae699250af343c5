// How fast the memory process is, and what a sighting costs the filter.
//
//     remember TRACES [SIGHTINGS]        a file with a trace on each line; 400,000 sightings
//
// Sightings are sent over a socket pair as fast as the pair takes them, to a real process with a
// store in a temporary folder. Exit codes: 0; 1 fewer than 20,000 a second, or rows are missing.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <variant>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/filter/memory_sink.h"
#include "milter/memory/memory.h"
#include "milter/memory/sighting_bytes.h"
#include "milter/net/fd.h"
#include "milter/reputation/table.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kWanted = 20'000;

std::vector<filter::Record> records_of(const char* file) {
  std::vector<filter::Record> records;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    auto read = classifier::parse_trace(line);
    auto* trace = std::get_if<classifier::Trace>(&read);
    if (trace == nullptr) continue;
    filter::Record record;
    record.sighting.verdict = classifier::classify(*trace, {});
    record.sighting.trace = std::move(*trace);
    record.sighting.listener = "mx";
    records.push_back(std::move(record));
  }
  return records;
}

void number(filter::Record& record, unsigned index) {
  record.sighting.time =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  record.sighting.queue_id = fmt::format("4Q{:08X}", index);
  record.sighting.client = net::Endpoint::parse(fmt::format(
      "198.{}.{}.{}:{}", index >> 16 & 255, index >> 8 & 255, index & 255, 1024 + index % 60'000));
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Microseconds for each of `count` sightings.
double cost(filter::MemorySink& sink, std::vector<filter::Record>& records, unsigned count) {
  const auto begin = Clock::now();
  for (unsigned i = 0; i < count; ++i) sink.take(records[i % records.size()], {});
  return seconds_since(begin) / count * 1e6;
}

pid_t start_memory(const config::Config& config, int fd, int line, int table,
                   memory::Counters& counters) {
  const pid_t pid = net::check(fork(), "fork");
  if (pid != 0) return pid;
  const std::string file = "none";
  _exit(memory::run(
      {.config = config, .config_file = file, .part = process::Part::Memory, .control_fd = line},
      {.sightings = fd,
       .reputations = table,
       .counters = counters,
       .reputation_counters = *new reputation::Counters}));
}

int measure(const char* file, unsigned count) {
  auto records = records_of(file);
  if (records.empty()) {
    fmt::print(stderr, "remember: {}: has no trace\n", file);
    return 66;
  }
  char name[] = "/tmp/segmilter-remember-XXXXXX";
  config::Config config;
  config.memory.folder = mkdtemp(name);
  config.memory.min_free = 0;
  auto& counters = *new (mmap(nullptr, sizeof(memory::Counters), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0)) memory::Counters;
  int ends[2];
  net::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  // As the supervisor does it.
  constexpr int kBytes = memory::kSocketBytes;
  (void)setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &kBytes, sizeof kBytes);
  int line[2];  // to the supervisor, whose part this program plays
  net::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line), "socketpair");
  const auto table = reputation::make_table();
  const pid_t pid = start_memory(config, ends[1], line[1], table.get(), counters);

  const auto begin = Clock::now();
  for (unsigned i = 0; i < count; ++i) {
    auto& record = records[i % records.size()];
    number(record, i);
    const auto bytes = memory::to_bytes(record.sighting);
    net::check(static_cast<int>(send(ends[0], bytes.data(), bytes.size(), MSG_NOSIGNAL)), "send");
  }
  while (counters.stored + counters.dropped_disk + counters.dropped_malformed < count) {
    if (seconds_since(begin) > 600) break;
    usleep(1000);
  }
  const double rate = static_cast<double>(counters.stored) / seconds_since(begin);
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(name)) bytes += entry.file_size();
  fmt::print("{} of {} sightings stored, {:.0f} a second, {} bytes a row\n", counters.stored.load(),
             count, rate, bytes / count);

  filter::MemorySink sink(ends[0], counters);
  const double serving = cost(sink, records, 2000);
  kill(pid, SIGSTOP);
  (void)cost(sink, records, 20'000);  // fills the socket
  const double stopped = cost(sink, records, 20'000);
  kill(pid, SIGKILL);
  (void)waitpid(pid, nullptr, 0);
  rusage used{};
  net::check(getrusage(RUSAGE_CHILDREN, &used), "getrusage");
  const auto cpu = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  fmt::print("the process used {:.1f} us of a processor for a sighting\n",
             (cpu(used.ru_utime) + cpu(used.ru_stime)) * 1e6 / count);
  close(ends[1]);
  const double gone = cost(sink, records, 20'000);
  fmt::print(
      "the filter pays {:.1f} us while memory serves, {:.1f} us while it is stopped, {:.1f} us "
      "without it\n",
      serving, stopped, gone);
  std::filesystem::remove_all(name);
  return rate >= kWanted && counters.stored >= count ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    fmt::print(stderr, "remember TRACES [SIGHTINGS]\n");
    return 64;
  }
  return measure(argv[1], argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 400'000);
} catch (const std::exception& error) {
  fmt::print(stderr, "remember: {}\n", error.what());
  return 71;
}
