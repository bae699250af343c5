// A queue in one block of memory. Its user may look at every item. The block is kept when the queue
// is empty, until give_back().
#pragma once

#include <cstddef>
#include <vector>

namespace classifier {

template <typename T>
class Fifo {
 public:
  // A block for at most this many items is kept, because it is too small to matter.
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
  // The items move to the front of the block when the removed ones are more than half of it. So
  // each removal moves at most one item on average.
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
