// What the loaders of both kernel programs need from libbpf in addition to its skeletons.
#pragma once

namespace capture {

// libbpf explains on many lines of stderr why a program was refused. From this call on, the lines
// of the calling thread are not printed, and the last one is kept for bpf_failed().
void hold_bpf_messages();

// Throws std::runtime_error "what: error (the missing right); libbpf's last line".
[[noreturn]] void bpf_failed(const char* what, int error);

}  // namespace capture
