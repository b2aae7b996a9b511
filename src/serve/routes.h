// The table of endpoints.
#pragma once

#include <boost/beast/http/verb.hpp>

#include <string_view>

#include "serve/session.h"

namespace sllm {

struct Session::Route {
  boost::beast::http::verb method;
  std::string_view path;  // ending in "*": a prefix
  bool open;              // needs no key
  Handler handler;

  bool matches(std::string_view target) const {
    if (!path.ends_with('*')) return target == path;
    const std::string_view prefix = path.substr(0, path.size() - 1);
    return target.size() > prefix.size() && target.starts_with(prefix);
  }
};

}  // namespace sllm
