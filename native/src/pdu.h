// Offsets and bits of the basic header segment (RFC 7143 section 11).
#pragma once

#include <cstddef>
#include <cstdint>

namespace pdu {

constexpr size_t kHeader = 48;
constexpr size_t kDigest = 4;
constexpr uint32_t kNoTag = 0xffffffff;
// What libiscsi declares as MaxRecvDataSegmentLength, and the most it accepts.
constexpr uint32_t kMaxSegment = 262144;

enum Opcode : uint8_t {
  kScsiCommand = 0x01,
  kLoginRequest = 0x03,
  kTextRequest = 0x04,
  kDataOut = 0x05,
  kLogoutRequest = 0x06,
  kNopIn = 0x20,
  kScsiResponse = 0x21,
  kLoginResponse = 0x23,
  kTextResponse = 0x24,
  kDataIn = 0x25,
  kLogoutResponse = 0x26,
  kReadyToTransfer = 0x31,
  kAsyncMessage = 0x32,
  kReject = 0x3f,
};

constexpr uint8_t kImmediate = 0x40;
constexpr uint8_t kFinal = 0x80;
constexpr uint8_t kContinue = 0x40;
constexpr uint8_t kOverflow = 0x04;
constexpr uint8_t kUnderflow = 0x02;
constexpr uint8_t kHasStatus = 0x01;

inline uint32_t get32(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}
inline void set32(uint8_t* p, uint32_t v) {
  p[0] = uint8_t(v >> 24);
  p[1] = uint8_t(v >> 16);
  p[2] = uint8_t(v >> 8);
  p[3] = uint8_t(v);
}
inline uint8_t opcode(const uint8_t* header) { return header[0] & 0x3f; }
inline uint32_t data_length(const uint8_t* header) { return get32(header + 4) & 0xffffff; }
inline void set_data_length(uint8_t* header, uint32_t n) { set32(header + 4, n & 0xffffff); }
inline uint32_t task_tag(const uint8_t* header) { return get32(header + 16); }
inline size_t padded(size_t n) { return (n + 3) & ~size_t{3}; }

}  // namespace pdu
