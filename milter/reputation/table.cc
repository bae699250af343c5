#include "milter/reputation/table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <stdexcept>
#include <utility>

#include "milter/net/keyed_hash.h"

namespace reputation {
namespace {

// Changes with the layout of the table, and with the meaning of an entry.
constexpr std::uint64_t kVersion = 0x736d'7265'7000'0001U;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
// A write takes less than a microsecond; who meets it three times in a row meets a writer that is
// stopped or dead.
constexpr int kAttempts = 3;

constexpr auto kRelaxed = std::memory_order_relaxed;

TableMemory* map(int fd, int protection) {
  if (!is_table(fd))
    throw std::runtime_error("the table of reputations is not one of this program");
  void* memory = mmap(nullptr, sizeof(TableMemory), protection, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "map the table of reputations");
  }
  return static_cast<TableMemory*>(memory);
}

std::size_t index_of(const TableMemory& memory, const Key& key) {
  const auto kind = static_cast<std::uint64_t>(key.kind) | (key.v4 ? 0x80U : 0U);
  return net::mix(net::mix(memory.secret.load(kRelaxed), key.value), kind) % TableMemory::kBuckets;
}

using Place = decltype(Bucket::places)::value_type;

std::optional<Entry> load(const Place& place) {
  Words words;
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = place[i].load(kRelaxed);
  return from_words(words);
}

void store(Place& place, const Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) place[i].store(words[i], kRelaxed);
}

// The sequence is odd while one of these is there. The fences are those of a sequence lock: a reader
// that sees any of the new words sees the odd number too.
class Write {
 public:
  explicit Write(Bucket& bucket) : bucket_(bucket) {
    bucket_.sequence.store(bucket_.sequence.load(kRelaxed) | 1, kRelaxed);
    std::atomic_thread_fence(std::memory_order_release);
  }
  ~Write() {
    bucket_.sequence.store(bucket_.sequence.load(kRelaxed) + 1, std::memory_order_release);
  }
  Write(const Write&) = delete;
  Write& operator=(const Write&) = delete;

 private:
  Bucket& bucket_;
};

}  // namespace

net::Fd make_table() {
  net::Fd fd(net::check(memfd_create("reputations", MFD_CLOEXEC | MFD_ALLOW_SEALING),
                        "make the table of reputations"));
  net::check(ftruncate(fd.get(), sizeof(TableMemory)), "give the table of reputations its size");
  void* memory =
      mmap(nullptr, sizeof(TableMemory), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) {
    throw std::system_error(errno, std::generic_category(), "map the table of reputations");
  }
  const std::unique_ptr<TableMemory, Unmap> table(static_cast<TableMemory*>(memory));
  table->version = kVersion;
  table->secret = net::random_seed();
  net::check(fcntl(fd.get(), F_ADD_SEALS, kSeals), "seal the table of reputations");
  return fd;
}

bool is_table(int fd) {
  struct stat about {};
  if (fstat(fd, &about) < 0 || about.st_size != sizeof(TableMemory)) return false;
  if (const int seals = fcntl(fd, F_GET_SEALS); seals < 0 || (seals & kSeals) != kSeals) {
    return false;
  }
  std::uint64_t version = 0;
  return pread(fd, &version, sizeof version, 0) == sizeof version && version == kVersion;
}

void Unmap::operator()(const TableMemory* memory) const {
  (void)munmap(const_cast<TableMemory*>(memory), sizeof *memory);
}

TableView::TableView(int fd) : memory_(map(fd, PROT_READ)) {}

bool TableView::find(const Key& key, std::optional<Entry>& entry) const {
  const Bucket& bucket = memory_->buckets[index_of(*memory_, key)];
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto before = bucket.sequence.load(std::memory_order_acquire);
    if ((before & 1) != 0) continue;
    entry.reset();
    for (const Place& place : bucket.places) {
      entry = load(place);
      if (entry && entry->key == key) break;
      entry.reset();
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (bucket.sequence.load(kRelaxed) == before) return true;
  }
  return false;
}

TableWriter::TableWriter(int fd) : memory_(map(fd, PROT_READ | PROT_WRITE)) {
  repair();
}

void TableWriter::use_keys(std::uint64_t key_check) {
  if (memory_->key_check.exchange(key_check) == key_check) return;
  (void)remove_if([](const Entry&) { return true; });
  memory_->filled = 0;
}

// What a writer that was killed has left. The whole bucket goes: an entry that is half written may
// look like a sound one.
void TableWriter::repair() {
  for (Bucket& bucket : memory_->buckets) {
    if ((bucket.sequence.load(kRelaxed) & 1) != 0) {
      const Write write(bucket);
      for (Place& place : bucket.places) store(place, {});
      continue;
    }
    for (const Place& place : bucket.places) entries_ += load(place) ? 1 : 0;
  }
}

Bucket& TableWriter::bucket_of(const Key& key) const {
  return memory_->buckets[index_of(*memory_, key)];
}

std::optional<Entry> TableWriter::find(const Key& key) const {
  for (const Place& place : bucket_of(key).places) {
    if (auto entry = load(place); entry && entry->key == key) return entry;
  }
  return std::nullopt;
}

bool TableWriter::put(const Entry& entry, Time now) {
  Bucket& bucket = bucket_of(entry.key);
  Place* chosen = nullptr;
  double least = entry.worth(now);
  bool is_new = true;
  bool evicts = false;
  for (Place& place : bucket.places) {
    const auto other = load(place);
    if (other && other->key == entry.key) {
      chosen = &place;
      is_new = evicts = false;
      break;
    }
    const double worth = other ? other->worth(now) : -1;
    if (worth >= least) continue;
    least = worth;
    chosen = &place;
    evicts = other.has_value();
  }
  if (chosen == nullptr) {
    ++refused_;
    return false;
  }
  if (evicts) ++evictions_;
  if (is_new && !evicts) ++entries_;
  const Write write(bucket);
  store(*chosen, to_words(entry));
  return true;
}

void TableWriter::for_each(std::size_t first, std::size_t count,
                           const std::function<void(const Entry&)>& take) const {
  const auto end = std::min(TableMemory::kBuckets, first + count);
  for (std::size_t i = first; i < end; ++i) {
    for (const Place& place : memory_->buckets[i].places) {
      if (const auto entry = load(place)) take(*entry);
    }
  }
}

std::size_t TableWriter::remove_if(const std::function<bool(const Entry&)>& unwanted) {
  std::size_t removed = 0;
  for (Bucket& bucket : memory_->buckets) {
    for (Place& place : bucket.places) {
      const auto entry = load(place);
      if (!entry || !unwanted(*entry)) continue;
      const Write write(bucket);
      store(place, {});
      ++removed;
    }
  }
  entries_ -= removed;
  return removed;
}

}  // namespace reputation
