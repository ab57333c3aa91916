#pragma once

#include <cstddef>

#include "function.h"

// Descriptors on their way from one process to another:
//
//   socketPair() -> [one end, the other] of SOCK_SEQPACKET, or the errno
//   sendDescriptors(socket, note, descriptors) -> 0, or the errno; in one message with a
//     number of 32 bits
//   receiveDescriptors(socket, peek) -> {note, descriptors} of the first message, or the
//     errno; if peek is not 0, it stays in the queue
//   queuedMessages(socket) -> how many such messages wait there, or minus the errno
//   descriptorOf(pid, descriptor) -> a duplicate of another process's, or minus the errno;
//     pidfd_getfd(2), since Linux 5.6
inline constexpr size_t kDescriptorFunctionCount = 5;
extern const Function kDescriptorFunctions[kDescriptorFunctionCount];
