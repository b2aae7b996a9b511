"""What openapi.sh changes in the requests that schemathesis makes up, so that most of them come to the model and none keeps it
long: a name drawn at random names no model, a number drawn at random is no token, and an answer without a limit is as long
as the context. Every fourth request stays as it was."""
import json
import zlib

import schemathesis

MODEL, TOKENS, LONGEST = "default", 1000, 8


def tokens(prompt):
    if isinstance(prompt, list):
        return [tokens(p) for p in prompt]
    return int(prompt) % TOKENS if isinstance(prompt, (int, float)) and not isinstance(prompt, bool) else prompt


def limited(holder, name):
    asked = holder.get(name)
    if asked is None or isinstance(asked, (int, float)) and not isinstance(asked, bool) and (asked > LONGEST or asked < 0 and name == "num_predict"):
        holder[name] = LONGEST


@schemathesis.hook
def map_body(context, body):
    if not isinstance(body, dict) or zlib.crc32(json.dumps(body, sort_keys=True, default=repr).encode()) % 4 == 0:
        return body
    path = context.operation.path
    body = dict(body)
    if isinstance(body.get("model"), str):
        body["model"] = MODEL
    for name in ("prompt", "input"):
        if name in body:
            body[name] = tokens(body[name])
    if isinstance(body.get("logit_bias"), dict):
        body["logit_bias"] = {str(int(k) % TOKENS) if k.isascii() and k.isdigit() else k: v for k, v in body["logit_bias"].items()}
    if path in ("/v1/chat/completions", "/v1/completions"):
        limited(body, "max_tokens")
    elif path in ("/api/chat", "/api/generate") and isinstance(body.get("options") or {}, dict):
        body["options"] = dict(body.get("options") or {})
        limited(body["options"], "num_predict")
    return body
