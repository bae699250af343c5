// The table of reputations: shared memory of a fixed size, which one process writes (memory) and
// others read without asking it (filter). While the writer is away, the last state goes on to be
// read, and fades.
//
//     head │ bucket │ bucket │ …       131,072 buckets, 43 MB; memory is used where it is written
//               └─ sequence │ 8 entries of 40 bytes
//
// A key belongs to one bucket, by a hash with a secret. The sequence number of a bucket is odd
// while it is written; a reader that finds it odd, or changed since it began, has no answer. If all
// eight places are taken, the entry with the least worth (entry.h) is removed, but only if it has
// less than the new one. So a flood of new addresses pushes out only the addresses of the flood.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "milter/net/fd.h"
#include "milter/reputation/entry.h"

namespace reputation {

struct Bucket {
  static constexpr std::size_t kPlaces = 8;
  std::atomic<std::uint64_t> sequence;
  std::array<std::array<std::atomic<std::uint64_t>, std::tuple_size_v<Words>>, kPlaces> places;
};

struct TableMemory {
  static constexpr std::size_t kBuckets = 128 * 1024;
  static constexpr std::size_t kEntries = kBuckets * Bucket::kPlaces;
  std::atomic<std::uint64_t> version;
  std::atomic<std::uint64_t> secret;     // of the hash
  std::atomic<std::uint64_t> key_check;  // Keys::check() of the writer
  std::atomic<std::uint64_t> filled;     // 1: the state file or the store was read into it
  std::array<Bucket, kBuckets> buckets;
};
static_assert(sizeof(TableMemory) <= 64 * 1024 * 1024);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// A new and empty table, as a file without a name whose size is sealed. Throws std::system_error.
net::Fd make_table();

// Whether `fd` is such a file: a descriptor that another program left may be anything.
bool is_table(int fd);

struct Unmap {
  void operator()(const TableMemory* memory) const;
};

// Reads the table. Safe from any thread.
class TableView {
 public:
  // Throws std::system_error, and std::runtime_error if it is no table. `fd` may be closed then.
  explicit TableView(int fd);

  // False: the writer was at work on the bucket, or died in it. `entry`: empty if there is none.
  bool find(const Key& key, std::optional<Entry>& entry) const;
  // Whether the writer uses the keys with this check.
  bool has_keys(std::uint64_t check) const { return memory_->key_check == check; }

 private:
  std::unique_ptr<const TableMemory, Unmap> memory_;
};

// Writes the table. There may be one in all processes; one thread.
class TableWriter {
 public:
  // Throws as TableView. A bucket in which the last writer died is emptied.
  explicit TableWriter(int fd);

  // Removes the entries of a writer with other keys than those of `key_check`.
  void use_keys(std::uint64_t key_check);

  std::optional<Entry> find(const Key& key) const;
  // Replaces the entry with the same key, or takes a place. False: all that is in the bucket has
  // more worth at `now`.
  bool put(const Entry& entry, Time now);

  // For all entries of the buckets from `first` on, `count` of them.
  void for_each(std::size_t first, std::size_t count,
                const std::function<void(const Entry&)>& take) const;
  // Removes entries. Returns how many.
  std::size_t remove_if(const std::function<bool(const Entry&)>& unwanted);

  bool is_filled() const { return memory_->filled != 0; }
  void set_filled() { memory_->filled = 1; }
  std::size_t entries() const { return entries_; }
  std::size_t evictions() const { return evictions_; }
  std::size_t refused() const { return refused_; }

 private:
  using Place = decltype(Bucket::places)::value_type;
  Bucket& bucket_of(const Key& key) const;
  static Place* place_of(Bucket& bucket, const Key& key);
  Place* make_room(Bucket& bucket, double worth, Time now);
  void visit(std::size_t first, std::size_t end, const std::function<void(Bucket&)>& take) const;
  void repair();

  net::Fd fd_;
  std::unique_ptr<TableMemory, Unmap> memory_;
  std::size_t entries_ = 0;
  std::size_t evictions_ = 0;
  std::size_t refused_ = 0;
};

}  // namespace reputation
