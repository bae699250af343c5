// Memory for secrets. Every block is overwritten before it is freed, so no copy of a secret
// outlives its owner.
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

// Not std::string: a short string is kept inside the object itself, and the allocator never
// overwrites that.
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
