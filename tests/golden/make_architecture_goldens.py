#!/usr/bin/env python3
"""A tiny random model of every architecture, and what transformers computes with it in float32: logits,
gradients of all weights and of a LoRA adapter, and ten losses of full tuning with AdamW.

Usage: make_architecture_goldens.py OUT [name ...]      (needs torch and transformers)
Each OUT/name is a Hugging Face folder with golden.safetensors beside it. models/architecture_test.cc reads
them: those in tests/golden/architectures, or others named by SLLM_ARCHITECTURE_GOLDENS. EXAONE 3 is not in
transformers: its block is Llama's, so Llama computes it and the tensors are renamed.
"""
import inspect
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

V, D, L, F, CONTEXT = 48, 16, 2, 24, 64
TOKENS, STEPS, LR = 40, 10, 1e-3

COMMON = dict(vocab_size=V, hidden_size=D, num_hidden_layers=L, intermediate_size=F, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=CONTEXT, bos_token_id=1, eos_token_id=2,
              pad_token_id=None, initializer_range=0.2, tie_word_embeddings=False)
MUP = dict(embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=2.5)


def pairs(n, low, high):
    return [round(low + (high - low) * i / (n - 1), 4) for i in range(n)]


MODELS = {
    "llama": ("llama", dict(rope_parameters=dict(rope_type="llama3", rope_theta=5e5, factor=8.0, low_freq_factor=1.0,
                            high_freq_factor=4.0, original_max_position_embeddings=32), attention_bias=True, mlp_bias=True)),
    "llama_linear": ("llama", dict(tie_word_embeddings=True, rope_parameters=dict(rope_type="linear", rope_theta=1e4, factor=4.0))),
    "mistral": ("mistral", dict(head_dim=8, sliding_window=9)),
    "ministral3": ("ministral3", dict(head_dim=8, rope_parameters=dict(
        rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=16, beta_fast=8.0, beta_slow=1.0,
        mscale=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1))),
    "qwen2": ("qwen2", dict(use_sliding_window=True, sliding_window=7, max_window_layers=1)),
    "qwen3": ("qwen3", dict(head_dim=8, tie_word_embeddings=True, rope_parameters=dict(
        rope_type="yarn", rope_theta=1e4, factor=2.0, original_max_position_embeddings=32))),
    "gemma2": ("gemma2", dict(head_dim=8, query_pre_attn_scalar=12, sliding_window=8, tie_word_embeddings=True,
                              attn_logit_softcapping=5.0, final_logit_softcapping=4.0)),
    "gemma3": ("gemma3_text", dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=8, tie_word_embeddings=True,
                                   num_hidden_layers=4, sliding_window_pattern=3, rope_parameters=dict(
        full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0),
        sliding_attention=dict(rope_type="default", rope_theta=1e4)))),
    "gemma4": ("gemma4_text", dict(head_dim=4, global_head_dim=8, sliding_window=8, tie_word_embeddings=True,
                                   num_hidden_layers=4, layer_types=["sliding_attention", "full_attention"] * 2,
                                   num_kv_shared_layers=2, use_double_wide_mlp=True, hidden_size_per_layer_input=6,
                                   vocab_size_per_layer_input=V, final_logit_softcapping=4.0, rope_parameters=dict(
        full_attention=dict(rope_type="proportional", rope_theta=1e6, partial_rotary_factor=0.5),
        sliding_attention=dict(rope_type="default", rope_theta=1e4)))),
    "gemma4_plain": ("gemma4_text", dict(head_dim=8, global_head_dim=16, num_global_key_value_heads=1, attention_k_eq_v=True,
                                         sliding_window=8, layer_types=["sliding_attention", "full_attention"],
                                         hidden_size_per_layer_input=0)),
    "gemma3_embedding": ("gemma3_text", dict(head_dim=8, query_pre_attn_scalar=8, sliding_window=8, tie_word_embeddings=True,
                                             use_bidirectional_attention=True, sliding_window_pattern=2)),
    "bert": ("bert", dict(num_key_value_heads=None)),
    "xlm_roberta": ("xlm-roberta", dict(num_key_value_heads=None, pad_token_id=1, hidden_act="gelu", type_vocab_size=1)),
    "phi3": ("phi3", dict(num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT,
                          original_max_position_embeddings=48, sliding_window=None, rope_parameters=dict(
        rope_type="longrope", rope_theta=1e4, partial_rotary_factor=0.75, short_factor=pairs(3, 1, 2),
        long_factor=pairs(3, 1.5, 6), original_max_position_embeddings=48), )),
    "phi3_long": ("phi3", dict(num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT,
                               original_max_position_embeddings=24, sliding_window=None, rope_parameters=dict(
        rope_type="longrope", rope_theta=1e4, partial_rotary_factor=0.75, short_factor=pairs(3, 1, 2),
        long_factor=pairs(3, 1.5, 6), original_max_position_embeddings=24), )),
    "gpt_neox": ("gpt_neox", dict(num_key_value_heads=None, rope_parameters=dict(
        rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5))),
    "gpt_neox_serial": ("gpt_neox", dict(num_key_value_heads=None, use_parallel_residual=False, rope_parameters=dict(
        rope_type="default", rope_theta=1e4, partial_rotary_factor=1.0))),
    "exaone": ("llama", dict(rope_parameters=dict(rope_type="llama3", rope_theta=1e6, factor=8.0, low_freq_factor=1.0,
                             high_freq_factor=4.0, original_max_position_embeddings=32))),
    "exaone4": ("exaone4", dict(sliding_window=8, sliding_window_pattern=3, num_hidden_layers=3)),
    "exaone4_full": ("exaone4", dict(sliding_window=None, sliding_window_pattern=None, layer_types=["full_attention"] * L)),
    "hyperclovax": ("hyperclovax", dict(**MUP, use_post_norm=True)),
    "hyperclovax_plain": ("hyperclovax", dict(use_post_norm=False, attention_multiplier=None)),
    "smollm3": ("smollm3", dict(num_hidden_layers=4, tie_word_embeddings=True)),
    "granite": ("granite", MUP),
    "olmo2": ("olmo2", dict(rope_parameters=dict(rope_type="default", rope_theta=5e5))),
    "qwen3_5": ("qwen3_5_text", dict(num_hidden_layers=4, head_dim=8, full_attention_interval=2, linear_num_key_heads=2,
                                     linear_num_value_heads=4, linear_key_head_dim=4, linear_value_head_dim=4,
                                     linear_conv_kernel_dim=4, rope_parameters=dict(
        rope_type="default", rope_theta=1e4, partial_rotary_factor=0.5, mrope_section=[1, 1, 0]))),
    "qwen3_5_bias": ("qwen3_5_text", dict(num_hidden_layers=2, layer_types=["full_attention", "linear_attention"], head_dim=8,
                                          attention_bias=True, linear_num_key_heads=2, linear_num_value_heads=2,
                                          linear_key_head_dim=6, linear_value_head_dim=4, linear_conv_kernel_dim=3,
                                          tie_word_embeddings=True, rope_parameters=dict(
        rope_type="default", rope_theta=1e4, partial_rotary_factor=0.25, mrope_section=[1, 0, 0]))),
    "lfm2": ("lfm2", dict(num_hidden_layers=3, layer_types=["conv", "full_attention", "conv"], tie_word_embeddings=True,
                          block_multiple_of=8, block_ffn_dim_multiplier=1.3, conv_L_cache=3)),
    "lfm2_bias": ("lfm2", dict(full_attn_idxs=[0], conv_bias=True, conv_L_cache=4, block_auto_adjust_ff_dim=False)),
}

# Encoders: which rows become the vector, the linear layers behind it, and whether it gets unit length.
POOLING = {"bert": ("cls", [], True), "xlm_roberta": ("mean", [], False), "gemma3_embedding": ("mean", [24, 12], True)}


class Encoder(torch.nn.Module):
    """An encoder whose logits are the products of its rows with its word embeddings."""

    def __init__(self, body):
        super().__init__()
        self.body, self.config = body, body.config

    def get_output_embeddings(self):
        return None

    def save_pretrained(self, folder):
        self.body.save_pretrained(folder)

    def forward(self, input_ids):
        hidden = self.body(input_ids=input_ids).last_hidden_state
        return SimpleNamespace(hidden=hidden, logits=hidden @ self.body.get_input_embeddings().weight.T)


def pool(folder, name, hidden):
    """The vector of hidden rows, and the modules in the folder that say how it is made."""
    rows, widths, unit = POOLING[name]
    vector = hidden.mean(0) if rows == "mean" else hidden[0]
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    generator = torch.Generator().manual_seed(7)
    for i, width in enumerate(widths):
        weight = torch.randn(width, vector.numel(), generator=generator) * 0.2
        path = folder / f"{i + 2}_Dense"
        path.mkdir(exist_ok=True)
        save_file({"linear.weight": weight}, path / "model.safetensors", {"format": "pt"})
        (path / "config.json").write_text(json.dumps({
            "in_features": vector.numel(), "out_features": width, "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity"}))
        modules.append((path.name, "Dense"))
        vector = weight @ vector
    if unit:
        modules.append((f"{len(modules)}_Normalize", "Normalize"))
        vector = torch.nn.functional.normalize(vector, dim=0)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps({
        "word_embedding_dimension": hidden.shape[1], "pooling_mode_cls_token": rows == "cls",
        "pooling_mode_mean_tokens": rows == "mean"}))
    (folder / "modules.json").write_text(json.dumps([
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)]))
    return vector.detach()


def exaone(folder):
    """Llama's folder under EXAONE 3's names."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    theta = rope.pop("rope_theta")
    for ours, theirs in (("num_layers", "num_hidden_layers"), ("activation_function", "hidden_act"),
                         ("layer_norm_epsilon", "rms_norm_eps")):
        config[ours] = config.pop(theirs)
    config.update(model_type="exaone", architectures=["ExaoneForCausalLM"], rope_theta=theta, rope_scaling=rope)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    save_file({exaone_name(k): v for k, v in load_file(folder / "model.safetensors").items()},
              folder / "model.safetensors", {"format": "pt"})


def exaone_name(name):
    for a, b in (("model.embed_tokens", "transformer.wte"), ("model.layers", "transformer.h"),
                 ("model.norm", "transformer.ln_f"), ("self_attn.o_proj", "attn.attention.out_proj"),
                 ("self_attn", "attn.attention"), ("input_layernorm", "ln_1"), ("post_attention_layernorm", "ln_2"),
                 ("gate_proj", "c_fc_0"), ("up_proj", "c_fc_1"), ("down_proj", "c_proj")):
        name = name.replace(a, b)
    return name


def loss_of(model, ids):
    logits = model(input_ids=ids[None]).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, ids[1:])


def lora_gradients(model, ids, rename):
    """A and B of rank 4 on every linear but the head; the weights stay as they are."""
    generator = torch.Generator().manual_seed(5)
    out, pairs_, hooks = {}, {}, []
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Linear) or module is model.get_output_embeddings():
            continue
        A, B = ((torch.randn(*shape, generator=generator) * 0.1).to(module.weight.dtype).requires_grad_()
                for shape in ((4, module.in_features), (module.out_features, 4)))
        pairs_[name] = (A, B)
        hooks.append(module.register_forward_hook(lambda m, x, y, A=A, B=B: y + 2.0 * (x[0] @ A.T) @ B.T))
    loss = loss_of(model, ids)
    loss.backward()
    for hook in hooks:
        hook.remove()
    for name, (A, B) in pairs_.items():
        for part, t in (("A", A), ("B", B)):
            out[f"lora.{rename(name)}.{part}"] = t.detach().clone()
            out[f"lora_grad.{rename(name)}.{part}"] = t.grad.clone()
    out["lora_loss"] = torch.tensor([float(loss)])
    model.zero_grad()
    return out


def delta_rule_in_float64():
    """transformers computes the gated delta rule in chunks of float32, whose gradients are off by up to 1.3e-4 of
    their length: more than our bound. The same function in float64 says what they are."""
    from transformers.models.qwen3_5 import modeling_qwen3_5 as module
    function = inspect.unwrap(module.torch_chunk_gated_delta_rule)
    if function.__code__.co_filename == "<string>":
        return  # done before
    source = inspect.getsource(function)
    wide = source[source.index("def "):].replace("torch.float32", "torch.float64")
    if wide.count("torch.float64") == 0:
        raise SystemExit("the gated delta rule of this transformers names no float32")
    exec(wide, vars(module))


def random_model(name, seed):
    model_type, changes = MODELS[name]
    torch.manual_seed(seed)
    options = {k: v for k, v in {**COMMON, **changes}.items() if v is not None or k == "pad_token_id" or k in changes and k != "num_key_value_heads"}
    made = AutoModel if name in POOLING else AutoModelForCausalLM
    more = dict(add_pooling_layer=False) if "bert" in model_type else {}
    model = made.from_config(AutoConfig.for_model(model_type, **options), dtype=torch.float32,
                             attn_implementation="eager", **more).eval()
    if name in POOLING:
        model = Encoder(model)
    with torch.no_grad():  # norms and biases that do something
        for parameter_name, p in model.named_parameters():
            if p.dim() == 1:
                p.add_(torch.randn_like(p) * 0.1)
        for buffer_name, b in model.named_buffers():
            if buffer_name.endswith("layer_scalar"):
                b.add_(torch.randn_like(b) * 0.1)
        if model_type == "xlm-roberta":  # rows that no position uses, which GGUF leaves out
            model.body.embeddings.position_embeddings.weight[:model.config.pad_token_id + 1] = 0
    return model


def losses_of_training(model, ids):
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.1)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, ids)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def settled(name, seed, ids):
    """Whether the model is so well conditioned that float32 settles what is compared: torch's losses and gradients in
    float32 and in float64 are within a fifth of our bounds. With some weights ten steps of AdamW blow a last place up
    to 2e-5."""
    narrow, wide = (losses_of_training(model, ids) for model in (random_model(name, seed), random_model(name, seed).double()))
    if any(abs(a / b - 1) > 1e-6 for a, b in zip(narrow, wide)):
        return False
    narrow, wide = (lora_gradients(model, ids, lambda x: x) for model in (random_model(name, seed), random_model(name, seed).double()))
    return all((narrow[k] - wide[k]).norm() <= 2e-5 * wide[k].norm() for k in wide if k.startswith("lora_grad"))


def make(name, out):
    model_type = MODELS[name][0]
    if model_type == "qwen3_5_text":
        delta_rule_in_float64()
    ids = torch.randint(0, V, (TOKENS,), generator=torch.Generator().manual_seed(3))
    if name == "xlm_roberta":
        ids[ids == MODELS[name][1]["pad_token_id"]] = 5  # padding has no position
    seed = sum(name.encode())
    while not settled(name, seed, ids):
        seed += 1
    model = random_model(name, seed)
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": {
            "type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {chr(33 + i): i for i in range(V - 1)} | {'!"': V - 1}, "merges": [["!", '"']]}}))
    rename = (lambda x: x)
    if name == "exaone":
        exaone(folder)
        rename = exaone_name
    if model_type == "gpt_neox":  # the name it is saved under
        rename = (lambda x: x.replace("lm_head", "embed_out"))
    if name in POOLING:
        body = "model." if model_type == "gemma3_text" else ""
        rename = (lambda x: x.replace("body.", body))

    answer = model(input_ids=ids[None])
    golden = {"ids": ids.int(), "logits": answer.logits[0].detach()}
    if name in POOLING:
        golden["pooled"] = pool(folder, name, answer.hidden[0])
    golden |= lora_gradients(model, ids, rename)
    loss_of(model, ids).backward()
    tied = model.config.tie_word_embeddings
    for parameter_name, p in model.named_parameters():
        golden["grad." + rename(parameter_name)] = p.grad.clone()
    losses = losses_of_training(model, ids)
    golden["losses"] = torch.tensor(losses, dtype=torch.float64).float()
    save_file({k: v.contiguous() for k, v in golden.items()}, folder / "golden.safetensors")
    print(f"made {name}: {sum(p.numel() for p in model.parameters())} parameters, tied {tied}, losses {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for wanted in sys.argv[2:] or MODELS:
        make(wanted, target)
