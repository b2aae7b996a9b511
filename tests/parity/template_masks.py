"""Which tokens the assistant speaks: {% generation %} against apply_chat_template's mask, and the turns that prefix
rendering finds.
"""
import json
import os
import pathlib
import sys
import tempfile
import time

from templates import expected, neighbour, ours

GENERATION = {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' "
              "%}{% generation %}{{ m.content }}{{ '<|im_end|>\n' }}{% endgeneration %}{% else %}"
              "{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}",
    "trimmed": "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}"
               "{%- generation -%}{{ m.content | trim }}{%- endgeneration -%}{% else %}"
               "{{ m.content }}{% endif %}|{% endfor %}",
    "last only": "{% for m in messages %}{{ m.role }}: {% if loop.last %}{% generation %}"
                 "{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.content }}"
                 "{% endif %}\n{% endfor %}",
}


def model_beside(home, vocabulary):
    """What our reader wants beside a tokenizer."""
    import transformers
    config = transformers.LlamaConfig(vocab_size=vocabulary, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                                      intermediate_size=8, tie_word_embeddings=True)
    transformers.LlamaForCausalLM(config).save_pretrained(home)


def whole_characters(tokenizer, template, messages, wanted):
    """transformers ends a span with the first token of its last character; a character of several tokens is whole here."""
    text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
    spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    masks = list(wanted["assistant_masks"])
    for i in range(1, len(masks)):
        if masks[i - 1] and spans[i][0] < spans[i - 1][1]:
            masks[i] = 1
    return masks


def check_masks(sllm, shared, folder):
    import transformers
    cases = neighbour("cases/templates.py")["CASES"]
    named = ["multi-turn", "korean", "reasoning", "unicode", "named, many turns", "very long"]
    same = tokens = spoken = failed = 0
    for model in ("tok_llama3_hf", "tok_qwen3_hf"):
        source = pathlib.Path(shared, "data", model)
        if not (source / "tokenizer.json").exists():
            print(f"SKIP template masks: no tokenizer in {source}")
            continue
        for kind, template in GENERATION.items():
            home = folder / f"{model} {kind}"
            home.mkdir()
            for file in source.iterdir():
                if file.name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
                    (home / file.name).write_bytes(file.read_bytes())
            (home / "chat_template.jinja").write_text(template)
            tokenizer = transformers.AutoTokenizer.from_pretrained(home)
            model_beside(home, len(tokenizer))
            for name in named:
                wanted = tokenizer.apply_chat_template(
                    cases[name]["messages"], chat_template=template, return_dict=True,
                    return_assistant_tokens_mask=True)
                masks = whole_characters(tokenizer, template, cases[name]["messages"], wanted)
                messages = {"messages": cases[name]["messages"]}
                got, complaint = ours(sllm, home, messages, folder, ["--json"])
                answer = json.loads(got) if got else {}
                if (answer.get("token_ids"), answer.get("assistant")) == (
                        wanted["input_ids"], masks):
                    same += 1
                    tokens += len(wanted["input_ids"])
                    spoken += sum(masks)
                else:
                    failed += 1
                    print(f"FAIL template masks: {model}, {kind}, {name}: {complaint} "
                          f"{wanted['input_ids'][:20]} {answer.get('token_ids', [])[:20]}")
    if same and not failed:
        print(f"PASS template masks: {same} conversations, {tokens} tokens, {spoken} of them the "
              "assistant's, as transformers says")
    return failed


def check_prefixes(sllm, shared, folder):
    cases = neighbour("cases/templates.py")["CASES"]
    agree = no_prefix = failed = 0
    for path in sorted(pathlib.Path(shared, "data/chat_templates").glob("*.jinja")):
        template = path.read_text()
        for name, case in cases.items():
            case = {key: case[key] for key in case if key not in ("gen", "continue")}
            whole, error, _ = expected(template, case)
            turns = [i for i, m in enumerate(case["messages"]) if m["role"] == "assistant" and (
                m.get("content") or m.get("tool_calls"))]
            if error or not turns:
                continue
            got, _ = ours(sllm, path, case, folder, ["--json"])
            mine = json.loads(got)["assistant_bytes"]
            for i in turns:
                head = {**case, "messages": case["messages"][:i], "gen": True}
                before = expected(template, head)[0]
                after = expected(template, {**case, "messages": case["messages"][:i + 1]})[0]
                if not before or not after or not after.startswith(before) or (
                        not whole.startswith(after)):
                    no_prefix += 1
                    continue
                if not after[len(before):].strip():
                    continue  # the template has nothing to say for this message
                begin, end = len(before.encode()), len(after.encode())
                follows = i > 0 and case["messages"][i - 1]["role"] == "assistant"  # two turns in one range
                inside = [r for r in mine if r[0] == begin or follows and r[0] < begin < r[1]]
                rest = after.encode()[inside[0][1]:end] if inside else b"?"
                if len(inside) == 1 and not rest.strip():
                    agree += 1
                else:
                    failed += 1
                    print(f"FAIL template prefixes: {path.name}, {name}, message {i}: "
                          f"{after[len(before):]!r}, got {mine}, {begin} to {end}"[:600])
    if not failed:
        print(f"PASS template prefixes: {agree} assistant turns begin and end where prefix rendering "
              f"says; for {no_prefix} the prefixes differ and the message's own bytes decide")
    return failed


def main():
    sllm, shared = os.environ.get("SLLM_BIN", ""), os.environ.get("SLLM_SHARED", "")
    if not sllm or not shared:
        print("SKIP template masks: SLLM_BIN and SLLM_SHARED are not set")
        return 0
    os.environ["TZ"] = "UTC"
    time.tzset()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        failed = check_masks(sllm, shared, folder) + check_prefixes(sllm, shared, folder)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
