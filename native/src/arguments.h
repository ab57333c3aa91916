// Reading a call's arguments and making its values, with every mismatch a false.
#pragma once

#include <node_api.h>

#include <algorithm>
#include <string>
#include <vector>

inline napi_property_descriptor method(const char* name, napi_callback call) {
  return {name, nullptr, call, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

inline napi_value make_number(napi_env env, double number) {
  napi_value value = nullptr;
  napi_create_double(env, number, &value);
  return value;
}

inline napi_value make_text(napi_env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

// Uint8Arrays over one buffer: making a buffer costs far more than a view.
class SharedBytes {
 public:
  SharedBytes(napi_env env, size_t total) : env_(env) {
    void* data = nullptr;
    napi_create_arraybuffer(env, total, &data, &buffer_);
    next_ = start_ = static_cast<uint8_t*>(data);
  }

  napi_value add(const std::vector<uint8_t>& bytes) {
    napi_value view = nullptr;
    if (bytes.empty()) {
      napi_get_undefined(env_, &view);
      return view;
    }
    std::copy(bytes.begin(), bytes.end(), next_);
    napi_create_typedarray(env_, napi_uint8_array, bytes.size(), buffer_, size_t(next_ - start_), &view);
    next_ += bytes.size();
    return view;
  }

 private:
  napi_env env_;
  napi_value buffer_ = nullptr;
  uint8_t* start_ = nullptr;
  uint8_t* next_ = nullptr;
};

template <size_t N>
struct Arguments {
  Arguments(napi_env e, napi_callback_info info) : env(e) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, values, &self, nullptr);
  }

  template <typename T>
  T* owner() {
    void* data = nullptr;
    return napi_unwrap(env, self, &data) == napi_ok ? static_cast<T*>(data) : nullptr;
  }

  bool number(size_t i, int& out) { return napi_get_value_int32(env, values[i], &out) == napi_ok; }

  // Bytes as they are: a string would have to be valid in some encoding.
  bool text(size_t i, std::string& out) {
    std::vector<uint8_t> copy;
    if (!bytes(i, copy)) return false;
    out.assign(copy.begin(), copy.end());
    return out.find('\0') == std::string::npos;
  }

  bool bytes(size_t i, std::vector<uint8_t>& out) {
    napi_typedarray_type type;
    size_t length = 0;
    void* data = nullptr;
    if (napi_get_typedarray_info(env, values[i], &type, &length, &data, nullptr, nullptr) != napi_ok) return false;
    if (type != napi_uint8_array) return false;
    const auto* start = static_cast<const uint8_t*>(data);
    if (length > 0) out.assign(start, start + length);
    return true;
  }

  napi_value make_number(double number) { return ::make_number(env, number); }
  napi_value make_boolean(bool truth) {
    napi_value value = nullptr;
    napi_get_boolean(env, truth, &value);
    return value;
  }

  napi_env env;
  napi_value self = nullptr;
  napi_value values[N == 0 ? 1 : N] = {};
};
