#pragma once

#include <cstddef>

#include "function.h"

// What a process needs that stands by for a call (src/standby):
//
//   listenAt(path) -> a socket of SOCK_SEQPACKET that listens, or minus the errno
//   acceptCaller(listener, milliseconds) -> the socket of a caller of this process's user;
//     minus ETIMEDOUT where nobody came, or minus another errno
//   receiveCall(socket, milliseconds) -> {request, streams}, or the errno
//   takeStreams(streams) -> 0 when they are this process's standard streams, or the errno
inline constexpr size_t kStandbyFunctionCount = 4;
extern const Function kStandbyFunctions[kStandbyFunctionCount];
