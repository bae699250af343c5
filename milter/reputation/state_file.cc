#include "milter/reputation/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "milter/net/keyed_hash.h"

namespace reputation {
namespace {

constexpr std::uint64_t kMagic = 0x736d'7265'7073'0001U;
constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::size_t kEntryBytes = sizeof(Words);
constexpr std::size_t kMostBytes = 48 * 1024 * 1024;
static_assert(TableMemory::kEntries * kEntryBytes + 64 * 1024 < kMostBytes);

std::string bytes_of(std::uint64_t number) {
  std::string bytes(kWord, '\0');
  std::memcpy(bytes.data(), &number, kWord);
  return bytes;
}

// The checksum protects against a disk that fails and a file that was cut, not against an attacker.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t sum = bytes.size();
  for (; bytes.size() >= kWord; bytes.remove_prefix(kWord)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), kWord);
    sum = net::mix(sum, word);
  }
  return sum;
}

// Takes numbers from the front; once there is too little it has failed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number() {
    std::uint64_t value = 0;
    const auto bytes = take(kWord);
    if (bytes.size() == kWord) std::memcpy(&value, bytes.data(), kWord);
    return value;
  }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  bool failed() const { return failed_; }
  bool ended() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

// The entries of the next block. `failed`: there is no sound one.
std::string_view take_block(Reader& in, bool& failed) {
  const auto count = in.number();
  if (count > TableMemory::kEntries) {
    failed = true;
    return {};
  }
  const auto entries = in.take(count * kEntryBytes);
  failed = in.number() != checksum(entries) || in.failed();
  return failed ? std::string_view() : entries;
}

void take_entries(std::string_view block, const std::function<void(const Entry&)>& take) {
  for (; !block.empty(); block.remove_prefix(kEntryBytes)) {
    Words words;
    std::memcpy(words.data(), block.data(), kEntryBytes);
    if (const auto entry = from_words(words)) take(*entry);
  }
}

}  // namespace

StateFound parse_state(std::string_view bytes, std::uint64_t key_check,
                       const std::function<void(const Entry&)>& take) {
  Reader head(bytes);
  if (head.number() != kMagic) return StateFound::Damaged;
  if (head.number() != key_check) {
    return head.failed() ? StateFound::Damaged : StateFound::OtherKeys;
  }
  // First all checksums, then the entries.
  for (const bool taking : {false, true}) {
    Reader in = head;
    for (bool failed = false;;) {
      const auto block = take_block(in, failed);
      if (failed) return StateFound::Damaged;
      if (block.empty()) break;
      if (taking) take_entries(block, take);
    }
    if (!in.ended()) return StateFound::Damaged;
  }
  return StateFound::Whole;
}

StateFound load_state(const std::string& file, TableWriter& table, std::uint64_t key_check,
                      Time now) {
  const net::Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return StateFound::None;
  net::check(fd.get(), "read " + file);
  struct stat about {};
  net::check(fstat(fd.get(), &about), "read " + file);
  if (about.st_size < 0 || static_cast<std::size_t>(about.st_size) > kMostBytes) {
    return StateFound::Damaged;
  }
  std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const auto got = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
    net::check(static_cast<int>(std::min<ssize_t>(got, 1)), "read " + file);
    if (got == 0) return StateFound::Damaged;
    done += static_cast<std::size_t>(got);
  }
  return parse_state(bytes, key_check, [&](Entry entry) {
    entry.first = std::min(entry.first, now);
    entry.last = std::min(entry.last, now);
    (void)table.put(entry, now);
  });
}

StateWriter::StateWriter(std::string file, const TableWriter& table, std::uint64_t key_check)
    : file_(std::move(file)), fresh_(file_ + ".new"), table_(table) {
  fd_ = net::Fd(net::check(::open(fresh_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640),
                           "write " + fresh_));
  write(bytes_of(kMagic) + bytes_of(key_check));
}

StateWriter::~StateWriter() {
  if (fd_) (void)unlink(fresh_.c_str());
}

void StateWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto done = ::write(fd_.get(), bytes.data(), bytes.size());
    net::check(static_cast<int>(std::min<ssize_t>(done, 1)), "write " + fresh_);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
}

void StateWriter::write_block(const std::string& entries) {
  write(bytes_of(entries.size() / kEntryBytes) + entries + bytes_of(checksum(entries)));
}

bool StateWriter::step(Time now) {
  constexpr std::size_t kBuckets = TableMemory::kBuckets / kSteps;
  std::string entries;
  table_.for_each(next_, kBuckets, [&](const Entry& entry) {
    if (entry.is_over(now)) return;
    const auto words = to_words(entry);
    entries.append(reinterpret_cast<const char*>(words.data()), kEntryBytes);
  });
  next_ += kBuckets;
  if (!entries.empty()) write_block(entries);
  if (next_ < TableMemory::kBuckets) return false;
  write_block({});
  net::check(fdatasync(fd_.get()), "write " + fresh_);
  net::check(std::rename(fresh_.c_str(), file_.c_str()), "write " + file_);
  fd_.reset();
  return true;
}

}  // namespace reputation
