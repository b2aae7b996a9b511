"""Writes a random llama of two layers as a Hugging Face folder, and a LoRA adapter for it: what the
command line can be tried on without weights. Standard library only."""
import array
import json
import random
import struct

WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, MLP, VOCABULARY, CONTEXT, RANK = 64, 2, 4, 2, 16, 96, 288, 4096, 2


def write_safetensors(path, shapes):
    """All tensors are F32; https://huggingface.co/docs/safetensors describes the format."""
    numbers = random.Random(1)
    header, data = {}, b""
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [1.0] * count if len(shape) == 1 else [numbers.gauss(0, 0.1) for _ in range(count)]
        blob = array.array("f", values).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(blob)]}
        data += blob
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def byte_symbols():
    """GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b if b in printable else 256 + others.index(b)) for b in range(256)]


def write_model(folder):
    folder.mkdir()
    shapes = {"model.embed_tokens.weight": [VOCABULARY, WIDTH], "model.norm.weight": [WIDTH]}
    for layer in (f"model.layers.{i}." for i in range(LAYERS)):
        shapes |= {layer + "input_layernorm.weight": [WIDTH], layer + "post_attention_layernorm.weight": [WIDTH],
                   layer + "self_attn.q_proj.weight": [HEADS * HEAD, WIDTH],
                   layer + "self_attn.k_proj.weight": [KV_HEADS * HEAD, WIDTH],
                   layer + "self_attn.v_proj.weight": [KV_HEADS * HEAD, WIDTH],
                   layer + "self_attn.o_proj.weight": [WIDTH, HEADS * HEAD],
                   layer + "mlp.gate_proj.weight": [MLP, WIDTH], layer + "mlp.up_proj.weight": [MLP, WIDTH],
                   layer + "mlp.down_proj.weight": [WIDTH, MLP]}
    write_safetensors(folder / "model.safetensors", shapes)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    files = {
        "config.json": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
                        "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
                        "num_key_value_heads": KV_HEADS, "head_dim": HEAD, "intermediate_size": MLP,
                        "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
                        "rope_theta": 10000.0, "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2},
        "tokenizer.json": {"version": "1.0", "normalizer": None, "pre_tokenizer": level, "post_processor": level,
                           "decoder": level,
                           "added_tokens": [{"id": i, "content": s, "single_word": False, "lstrip": False,
                                             "rstrip": False, "normalized": False, "special": True}
                                            for i, s in enumerate(special)],
                           "model": {"type": "BPE", "vocab": {s: i for i, s in enumerate(special + byte_symbols())},
                                     "merges": []}},
        "tokenizer_config.json": {"bos_token": special[1], "eos_token": special[2],
                                  "chat_template": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
                                                   "{{ m['content'] }}<|im_end|>\n{% endfor %}"},
    }
    for name, document in files.items():
        (folder / name).write_text(json.dumps(document))


def write_adapter(folder):
    folder.mkdir(parents=True)
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    write_safetensors(folder / "adapter_model.safetensors",
                      {module + ".lora_A.weight": [RANK, WIDTH], module + ".lora_B.weight": [HEADS * HEAD, RANK]})
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": RANK, "lora_alpha": 4, "target_modules": ["q_proj"]}))

