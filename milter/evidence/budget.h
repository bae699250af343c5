// How much memory evidence may take in a process, and how much it does: whoever keeps some has a
// share and says how large it is. Nothing is refused here; who sees that the budget is exceeded, and
// that its own share is one of the large ones, stops keeping: whoever hoards goes first, and not who
// happens to come next. Safe from any thread; one share is one thread's, or under its owner's lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace evidence {

class Budget {
 public:
  // A share of no more than this is small, and never has to go.
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
      budget_->used_.fetch_add(bytes - bytes_, std::memory_order_relaxed);  // modulo 2^64
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
  // The budget is exceeded, and the share is not much smaller than the mean of those that are not
  // small: its owner gives it up.
  bool has_to_go(const Share& share) const {
    if (share.bytes() <= kLittle || !exceeded()) return false;
    const std::size_t large = std::max<std::size_t>(large_.load(std::memory_order_relaxed), 1);
    return share.bytes() >= limit_ / large / 2;
  }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> large_{0};  // shares above kLittle
};

}  // namespace evidence
