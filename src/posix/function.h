#pragma once

#include <node_api.h>

// A function of the addon.
struct Function {
  const char* name;
  napi_callback callback;
};
