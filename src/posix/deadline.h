#pragma once

#include <sys/types.h>
#include <uv.h>

#include <cstdint>
#include <string>
#include <utility>

// A system call on storage that hangs can be neither interrupted nor killed, and the thread that is in it
// does nothing else: so the answer comes from a thread of its own.
class Deadline {
 public:
  // Never destroyed: its thread may be at it until the process is gone.
  static Deadline& Get() {
    static Deadline* const deadline = new Deadline;
    return *deadline;
  }

  // False where the host starts no more threads.
  bool Set(uint64_t milliseconds, int fd, std::string answer, std::string line, pid_t launcher, int exit_code) {
    uv_mutex_lock(&mutex_);
    if (ended_) {
      uv_mutex_unlock(&mutex_);
      return true;
    }
    end_ = uv_hrtime() + milliseconds * 1000000;
    fd_ = fd;
    answer_ = std::move(answer);
    line_ = std::move(line);
    launcher_ = launcher;
    exit_code_ = exit_code;
    if (!started_) {
      uv_thread_t thread;
      started_ = uv_thread_create(&thread, Watch, this) == 0;
    }
    const bool watched = started_;
    uv_cond_signal(&changed_);
    uv_mutex_unlock(&mutex_);
    return watched;
  }

  void End() {
    // Once it has passed, its thread keeps the mutex, and whoever comes here waits to be ended.
    uv_mutex_lock(&mutex_);
    end_ = kNever;
    ended_ = true;
    uv_mutex_unlock(&mutex_);
  }

 private:
  static constexpr uint64_t kNever = UINT64_MAX;

  Deadline() {
    uv_mutex_init(&mutex_);
    uv_cond_init(&changed_);
  }

  static void Watch(void* argument);
  [[noreturn]] void Answer() const;

  uv_mutex_t mutex_;
  uv_cond_t changed_;
  uint64_t end_ = kNever;
  int fd_ = 1;
  std::string answer_;
  std::string line_;
  pid_t launcher_ = 0;
  int exit_code_ = 1;
  bool started_ = false;
  bool ended_ = false;
};
