// What the loaders of both kernel programs need of libbpf beside its skeletons.
#pragma once

namespace capture {

// libbpf explains a refused program in many lines on stderr. From here on they are kept back, and
// the last one is there for bpf_failed(). For the calling thread.
void hold_bpf_messages();

// Throws std::runtime_error "what: error (what right is missing); libbpf's last words".
[[noreturn]] void bpf_failed(const char* what, int error);

}  // namespace capture
