#pragma once

#include <node_api.h>

#include <cstdint>

// A function of the addon.
struct Function {
  const char* name;
  napi_callback callback;
};

inline napi_value Integer(napi_env env, int32_t value) {
  napi_value result;
  return napi_create_int32(env, value, &result) == napi_ok ? result : nullptr;
}

inline napi_value TypeError(napi_env env, const char* text) {
  napi_throw_type_error(env, nullptr, text);
  return nullptr;
}
