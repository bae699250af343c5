// The memory that evidence takes in a process, and its limit. Each holder of evidence registers a
// Share and updates its size.
//
// Nothing is refused here. A holder checks whether the budget is exceeded and whether its own share
// is one of the large ones; then it gives its evidence up. So the largest holders lose their
// evidence first, and not the next session that happens to arrive.
//
// Safe from any thread. A share belongs to one thread, or is protected by its owner's lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace evidence {

class Budget {
 public:
  // A share of at most this size counts as small and is never given up. Chosen, not measured. A
  // larger value would let many small shares exceed the budget together; a smaller one would drop
  // evidence of many sessions that frees little.
  static constexpr std::size_t kLittle = 4096;

  class Share {
   public:
    Share() = default;
    explicit Share(Budget& budget) : budget_(&budget) {}
    ~Share() { set(0); }
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }

    void set(std::size_t bytes) {
      if (bytes == bytes_) return;
      if ((bytes > kLittle) != (bytes_ > kLittle)) {
        budget_->large_.fetch_add(bytes > kLittle ? 1 : SIZE_MAX, std::memory_order_relaxed);
      }
      // Unsigned arithmetic, modulo 2^64.
      budget_->used_.fetch_add(bytes - bytes_, std::memory_order_relaxed);
      bytes_ = bytes;
    }
    std::size_t bytes() const { return bytes_; }

   private:
    Budget* budget_ = nullptr;
    std::size_t bytes_ = 0;
  };

  explicit Budget(std::size_t limit) : limit_(limit) {}
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  bool exceeded() const { return used() >= limit_; }
  // True if the budget is exceeded and this share is large: at least half of what each large share
  // would have if they divided the limit equally. Its owner must then give it up.
  bool has_to_go(const Share& share) const {
    if (share.bytes() <= kLittle || !exceeded()) return false;
    const std::size_t large = std::max<std::size_t>(large_.load(std::memory_order_relaxed), 1);
    return share.bytes() >= limit_ / large / 2;
  }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> large_{0};  // number of shares above kLittle
};

}  // namespace evidence
