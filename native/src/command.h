// One SCSI command in flight, from the call that issued it to its answer.
#pragma once

#include <cstdint>
#include <vector>

extern "C" {
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
}

class Connection;

struct Command {
  Connection* owner = nullptr;
  uint32_t id = 0;
  uint32_t tag = 0;
  uint8_t lun[8] = {};
  scsi_task* task = nullptr;
  // Seen on its way out. An answer to a command that was not sent is a fault.
  bool sent = false;
  // The caller no longer waits (its deadline passed); a late answer is dropped.
  bool abandoned = false;

  uint32_t expected_in = 0;
  std::vector<uint8_t> data_in;
  uint32_t next_data_sn = 0;

  std::vector<uint8_t> data_out;
  iscsi_data out{};
  uint32_t solicited = 0;

  bool answered = false;
  uint8_t response = 0;
  uint8_t status = 0;
  double residual = 0;  // positive: bytes short of what was expected; negative: beyond it
  std::vector<uint8_t> sense;

  ~Command() {
    if (task != nullptr) scsi_free_scsi_task(task);
  }
};
