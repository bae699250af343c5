// Linked into every program of the coverage build. gcc writes its counts when a process ends by
// exit(), but segmilter's do not: children of the supervisor end by _exit, and tests kill
// processes. So _exit writes the counts too (-Wl,--wrap=_exit), and a thread of each process writes
// the current counts every few seconds. Only what a killed process did after the last time is lost.
// It is not done more often, because a process that is killed while it writes leaves half a file,
// and later counts cannot be added to that.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <mutex>

extern "C" void __gcov_dump();
extern "C" void __gcov_reset();
extern "C" [[noreturn]] void __real__exit(int code);

namespace {

std::mutex dumping;

void dump() {
  const std::lock_guard lock(dumping);
  __gcov_dump();
  __gcov_reset();
}

void* dump_for_ever(void*) {
  for (;;) {
    sleep(4);
    dump();
  }
}

// After a fork the child has only the thread that forked, so it starts this thread again. The
// thread takes no signals: they belong to the program.
void start() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  if (pthread_create(&thread, nullptr, dump_for_ever, nullptr) == 0) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

[[maybe_unused]] const bool started = [] {
  pthread_atfork([] { dumping.lock(); }, [] { dumping.unlock(); },
                 [] {
                   dumping.unlock();
                   start();
                 });
  start();
  return true;
}();

// Runs before gcc's own destructor, which writes the counts at exit: from here on no other thread
// writes them.
[[gnu::destructor(65535)]] void stop() {
  dumping.lock();
}

}  // namespace

extern "C" [[noreturn]] void __wrap__exit(int code) {
  dump();
  __real__exit(code);
}
