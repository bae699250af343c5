#include "milter/reputation/table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "milter/net/keyed_hash.h"

namespace reputation {
namespace {

// Changes with the layout of the table, and with the meaning of an entry.
constexpr std::uint64_t kVersion = 0x736d'7265'7000'0001U;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
// A write takes less than a microsecond. A reader that meets one three times in a row has met a
// writer that is stopped or dead.
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

// A sequence lock without fences, which the thread sanitizer does not know. Words are read with acquire
// and written with release. So a reader that sees any of the new words sees the odd number too, when
// it looks at the sequence once more.
std::optional<Entry> load(const Place& place) {
  Words words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = place[i].load(std::memory_order_acquire);
  }
  return from_words(words);
}

void store(Place& place, const Words& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    place[i].store(words[i], std::memory_order_release);
  }
}

// The sequence is odd while one of these is there.
class Write {
 public:
  explicit Write(Bucket& bucket) : bucket_(bucket) {
    bucket_.sequence.store(bucket_.sequence.load(kRelaxed) | 1, kRelaxed);
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
    if (bucket.sequence.load(kRelaxed) == before) return true;
  }
  return false;
}

TableWriter::TableWriter(int fd)
    : fd_(net::check(fcntl(fd, F_DUPFD_CLOEXEC, 0), "keep the table of reputations")),
      memory_(map(fd, PROT_READ | PROT_WRITE)) {
  repair();
}

// Leaves out the pages that were never written: only looking at one would make the kernel find memory
// for it, which takes time at a start.
void TableWriter::visit(std::size_t first, std::size_t end,
                        const std::function<void(Bucket&)>& take) const {
  constexpr std::size_t kHead = offsetof(TableMemory, buckets);
  const auto index_at = [](off_t offset) {
    const auto at = static_cast<std::size_t>(offset);
    return at < kHead ? 0 : (at - kHead) / sizeof(Bucket);
  };
  end = std::min(end, TableMemory::kBuckets);
  while (first < end) {
    const off_t data =
        lseek(fd_.get(), static_cast<off_t>(kHead + first * sizeof(Bucket)), SEEK_DATA);
    if (data < 0) return;  // ENXIO: all that follows was never written
    const off_t hole = lseek(fd_.get(), data, SEEK_HOLE);
    const auto last = hole < 0 ? end : std::min(end, index_at(hole - 1) + 1);
    for (first = std::max(first, index_at(data)); first < last; ++first) {
      take(memory_->buckets[first]);
    }
  }
}

void TableWriter::use_keys(std::uint64_t key_check) {
  if (memory_->key_check.exchange(key_check) == key_check) return;
  (void)remove_if([](const Entry&) { return true; });
  memory_->filled = 0;
}

// Empties a bucket that a killed writer has left half written. The whole bucket is emptied, because
// a half-written entry may look like a sound one.
void TableWriter::repair() {
  visit(0, TableMemory::kBuckets, [this](Bucket& bucket) {
    if ((bucket.sequence.load(kRelaxed) & 1) != 0) {
      const Write write(bucket);
      for (Place& place : bucket.places) store(place, {});
    }
    for (const Place& place : bucket.places) entries_ += load(place) ? 1 : 0;
  });
}

Bucket& TableWriter::bucket_of(const Key& key) const {
  return memory_->buckets[index_of(*memory_, key)];
}

TableWriter::Place* TableWriter::place_of(Bucket& bucket, const Key& key) {
  for (Place& place : bucket.places) {
    if (const auto entry = load(place); entry && entry->key == key) return &place;
  }
  return nullptr;
}

std::optional<Entry> TableWriter::find(const Key& key) const {
  const Place* place = place_of(bucket_of(key), key);
  return place != nullptr ? load(*place) : std::nullopt;
}

bool TableWriter::put(const Entry& entry, Time now) {
  Bucket& bucket = bucket_of(entry.key);
  Place* chosen = place_of(bucket, entry.key);
  if (chosen == nullptr) chosen = make_room(bucket, entry.worth(now), now);
  if (chosen == nullptr) {
    ++refused_;
    return false;
  }
  const Write write(bucket);
  store(*chosen, to_words(entry));
  return true;
}

// A place for a new entry of that worth; null: all others have more.
TableWriter::Place* TableWriter::make_room(Bucket& bucket, double worth, Time now) {
  Place* chosen = nullptr;
  for (Place& place : bucket.places) {
    const auto other = load(place);
    if (!other) {
      ++entries_;
      return &place;
    }
    if (const double least = other->worth(now); least < worth) {
      worth = least;
      chosen = &place;
    }
  }
  if (chosen != nullptr) ++evictions_;
  return chosen;
}

void TableWriter::for_each(std::size_t first, std::size_t count,
                           const std::function<void(const Entry&)>& take) const {
  visit(first, first + count, [&take](const Bucket& bucket) {
    for (const Place& place : bucket.places) {
      if (const auto entry = load(place)) take(*entry);
    }
  });
}

std::size_t TableWriter::remove_if(const std::function<bool(const Entry&)>& unwanted) {
  std::size_t removed = 0;
  visit(0, TableMemory::kBuckets, [&](Bucket& bucket) {
    for (Place& place : bucket.places) {
      const auto entry = load(place);
      if (!entry || !unwanted(*entry)) continue;
      const Write write(bucket);
      store(place, {});
      ++removed;
    }
  });
  entries_ -= removed;
  return removed;
}

}  // namespace reputation
