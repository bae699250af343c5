// Bytes of which no copy outlives its owner: whatever memory they were in is overwritten when
// it is given back.
#pragma once

#include <string.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace seal {

template <typename Value>
struct WipingAllocator {
  using value_type = Value;
  WipingAllocator() = default;
  template <typename Other>
  WipingAllocator(const WipingAllocator<Other>&) {}
  Value* allocate(std::size_t count) { return std::allocator<Value>().allocate(count); }
  void deallocate(Value* memory, std::size_t count) {
    explicit_bzero(memory, count * sizeof(Value));
    std::allocator<Value>().deallocate(memory, count);
  }
  bool operator==(const WipingAllocator&) const = default;
};

// Not a string: a short one lies in the object itself, where no allocator gives anything back.
using SecretBytes = std::vector<char, WipingAllocator<char>>;

class Secret {
 public:
  Secret() = default;
  explicit Secret(SecretBytes bytes) : bytes_(std::move(bytes)) {}
  Secret(const std::string& bytes) : bytes_(bytes.begin(), bytes.end()) {}
  operator std::string_view() const { return {bytes_.data(), bytes_.size()}; }
  std::size_t size() const { return bytes_.size(); }
  bool operator==(const Secret&) const = default;

 private:
  SecretBytes bytes_;
};

}  // namespace seal
