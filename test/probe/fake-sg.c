/*
 * A SCSI device for programs that ask it through SG_IO, on hosts whose kernel has no SCSI: preloaded, it
 * answers INQUIRY from files of FAKE_SG_DIR, named `std` or by the page's number in hexadecimal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bsg.h>
#include <scsi/sg.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  if (request != SG_IO) {
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
  }
  struct sg_io_v4 *io = argument;
  if (io->guard != 'Q') {
    errno = EINVAL;
    return -1;
  }
  const unsigned char *cdb = (const unsigned char *)(uintptr_t)io->request;
  char path[4096];
  if (cdb[1] & 1) {
    snprintf(path, sizeof path, "%s/%02x", getenv("FAKE_SG_DIR"), cdb[2]);
  } else {
    snprintf(path, sizeof path, "%s/std", getenv("FAKE_SG_DIR"));
  }
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    static const unsigned char invalid_field[18] = {0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0};
    memcpy((void *)(uintptr_t)io->response, invalid_field, sizeof invalid_field);
    io->response_len = sizeof invalid_field;
    io->device_status = 2;
    return 0;
  }
  ssize_t got = read(file, (void *)(uintptr_t)io->din_xferp, io->din_xfer_len);
  close(file);
  io->din_resid = (int)io->din_xfer_len - (int)got;
  return 0;
}
