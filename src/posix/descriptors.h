#pragma once

#include <node_api.h>

#include <cstddef>

// Descriptors on their way from one process to another:
//
//   socketPair() -> [one end, the other] of SOCK_SEQPACKET, or the errno
//   sendDescriptors(socket, descriptors) -> 0, or the errno; in a message of one byte
//   receiveDescriptors(socket, peek) -> those of the first message, or the errno; if peek
//     is not 0, it stays in the queue
//   queuedMessages(socket) -> how many messages of one byte wait there, or minus the errno
//   descriptorOf(pid, descriptor) -> a duplicate of another process's, or minus the errno;
//     pidfd_getfd(2), since Linux 5.6
struct DescriptorFunction {
  const char* name;
  napi_callback callback;
};

inline constexpr size_t kDescriptorFunctionCount = 5;
extern const DescriptorFunction kDescriptorFunctions[kDescriptorFunctionCount];
