// A queue in one block of memory, of which its user may look at every item. The block stays when
// the queue is empty, until its user has no use for it in the near future.
#pragma once

#include <cstddef>
#include <vector>

namespace classifier {

template <typename T>
class Fifo {
 public:
  // A block of so many items is not worth giving back.
  static constexpr std::size_t kLittle = 8;

  bool empty() const { return head_ == items_.size(); }
  std::size_t size() const { return items_.size() - head_; }
  // Bytes of memory.
  std::size_t memory_used() const { return items_.capacity() * sizeof(T); }

  auto begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const { return items_.end(); }
  // These require: not empty.
  const T& front() const { return items_[head_]; }
  const T& back() const { return items_.back(); }

  T& push_back(const T& item) { return items_.emplace_back(item); }
  void pop_back() {
    items_.pop_back();
    if (empty()) clear();
  }
  // The block is tidied when the gone items are the larger part of it: for each that goes, one at
  // most is moved.
  void pop_front() {
    ++head_;
    if (empty()) return clear();
    if (head_ * 2 < items_.size()) return;
    items_.erase(items_.begin(), begin());
    head_ = 0;
  }
  void clear() {
    head_ = 0;
    items_.clear();
  }
  // Requires: empty.
  void give_back() {
    if (items_.capacity() > kLittle) items_ = std::vector<T>();
  }

 private:
  std::vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace classifier
