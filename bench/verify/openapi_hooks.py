"""What openapi.sh changes in the requests that schemathesis makes up and that should be taken, so that most of them come to the
model and none keeps it long: a name drawn at random names no model, a number drawn at random is no token, an answer without
a limit is as long as the context, and the longest list allowed is 2048 answers. Every fourth stays as it was but for the
lists; what should be refused is sent as it is."""
import json
import zlib

import schemathesis

MODEL, TOKENS, TOKENS_OF_ANSWER, INPUTS = "default", 1000, 8, 16


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def tokens(prompt):
    if isinstance(prompt, list):
        return [tokens(p) for p in prompt]
    return int(prompt) % TOKENS if is_number(prompt) else prompt


def limit(holder, name):
    asked = holder.get(name)
    if asked is None or is_number(asked) and not 0 <= asked <= TOKENS_OF_ANSWER:
        holder[name] = TOKENS_OF_ANSWER


def shorten(body):
    for name in ("prompt", "input"):
        if isinstance(body.get(name), list):
            body[name] = body[name][:INPUTS]


def aim(body, path):
    if isinstance(body.get("model"), str):
        body["model"] = MODEL
    for name in ("prompt", "input"):
        if name in body:
            body[name] = tokens(body[name])
    if isinstance(body.get("logit_bias"), dict):
        body["logit_bias"] = {str(int(k) % TOKENS) if k.isascii() and k.isdigit() else k: v for k, v in body["logit_bias"].items()}
    if path in ("/v1/chat/completions", "/v1/completions"):
        limit(body, "max_tokens")
    elif path in ("/api/chat", "/api/generate") and isinstance(body.get("options") or {}, dict):
        body["options"] = dict(body.get("options") or {})
        limit(body["options"], "num_predict")


@schemathesis.hook
def before_call(context, case, kwargs):
    if not isinstance(case.body, dict) or case.meta is None or case.meta.generation.mode.is_negative:
        return
    body = dict(case.body)
    shorten(body)
    if zlib.crc32(json.dumps(body, sort_keys=True, default=repr).encode()) % 4:
        aim(body, case.operation.path)
    case.body = body
