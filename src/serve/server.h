// The HTTP server: OpenAI's API over an Engine, a chat page, health and metrics. Everything that a
// stranger sends is bounded: headers, bodies, JSON, connections, queue and time.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "infer/engine.h"
#include "serve/access.h"
#include "serve/grounding.h"
#include "serve/service.h"

namespace sllm {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8080;  // 0: any free one
  AccessRules access;
  bool insecure_no_auth = false;  // lets a host beyond loopback go without a key
  ServiceOptions service;
  size_t max_header = 16 << 10, max_body = 16 << 20;  // bytes
  size_t max_bodies = 256 << 20;                      // bytes of all bodies being read
  int max_connections = 512;
  using Seconds = std::chrono::seconds;
  Seconds read_timeout{30}, write_timeout{30}, keep_alive{15}, drain{30}, answer_limit{1800};
};

class Server {
 public:
  // Binds. Errors: kUsage (open to the network without a key), kNetwork (the address is taken).
  static Result<std::unique_ptr<Server>> open(
      ServerOptions options, std::shared_ptr<Engine> engine,
      std::shared_ptr<const GroundedAnswerer> answerer = {});
  virtual ~Server() = default;
  virtual int port() const = 0;
  virtual std::string url() const = 0;
  // Serves until stop() or a signal (base/events.h), then lets answers end for `drain`.
  virtual Status run() = 0;
  virtual void stop() = 0;  // from any thread
};

}  // namespace sllm
