#pragma once

#include <cstddef>

#include "function.h"

// Sockets whose other end is a program of the host or the kernel. They block; read(2) and
// write(2) do the rest.
//
//   connectUnix(path, milliseconds) -> a stream socket that is connected, or minus the errno
//   netlinkSocket(protocol, milliseconds) -> a socket to the kernel, or minus the errno
//   setSocketTimeout(fd, milliseconds) -> 0, or the errno; 0 for no limit
//
// The milliseconds are for each read and write from then on.
inline constexpr size_t kSocketFunctionCount = 3;
extern const Function kSocketFunctions[kSocketFunctionCount];
