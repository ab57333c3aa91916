// syslog(3) as gfs2-sr, facility daemon.
#pragma once

#include <syslog.h>

#include <string>

inline void Log(int priority, const std::string& text) {
  static const bool opened = (openlog("gfs2-sr", LOG_PID | LOG_NDELAY, LOG_DAEMON), true);
  static_cast<void>(opened);
  syslog(priority, "%s", text.c_str());
}
