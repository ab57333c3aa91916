// CRC32C as iSCSI uses it for header digests (RFC 7143 section 13.1).
#pragma once

#include <cstddef>
#include <cstdint>

uint32_t crc32c(const uint8_t* bytes, size_t length);
