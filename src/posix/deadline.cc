#include "deadline.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "log.h"

void Deadline::Watch(void* argument) {
  auto* const self = static_cast<Deadline*>(argument);
  uv_mutex_lock(&self->mutex_);
  for (;;) {
    const uint64_t now = uv_hrtime();
    if (self->end_ == kNever) {
      uv_cond_wait(&self->changed_, &self->mutex_);
    } else if (now < self->end_) {
      uv_cond_timedwait(&self->changed_, &self->mutex_, self->end_ - now);
    } else {
      self->Answer();
    }
  }
}

void Deadline::Answer() const {
  size_t written = 0;
  while (written < answer_.size()) {
    const ssize_t count = write(fd_, answer_.data() + written, answer_.size() - written);
    if (count >= 0) {
      written += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      uv_sleep(2);
    } else if (errno != EINTR) {
      break;
    }
  }
  // The thread that hangs keeps this process, and the caller reads to the end of its pipes.
  for (int fd = 0; fd <= 2; ++fd) close(fd);
  if (launcher_ < 0) {
    const unsigned char code = static_cast<unsigned char>(exit_code_);
    // Whoever does not listen any more needs no answer.
    if (write(-launcher_, &code, 1) != 1) errno = 0;
  }
  if (launcher_ > 0 && launcher_ == getppid()) kill(launcher_, exit_code_ == 0 ? SIGUSR2 : SIGUSR1);
  if (!line_.empty()) Log(LOG_ERR, line_);
  _exit(exit_code_);
}
