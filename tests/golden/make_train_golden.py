#!/usr/bin/env python3
# Makes the constants of src/train/tune_test.cc and the AdamW constants of src/ops/ops_test.cc:
# ten LoRA steps of PEFT on a tiny Llama whose weights both sides compute from one formula.
# Needs torch, transformers and peft. Prints C++.
import math

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def numbers(name, shape, scale):
    """tests/support/tiny_model.h: FNV-1a of the name, then a hash of each index; exact in f32."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 % 2**32
    h = (np.arange(math.prod(shape), dtype=np.uint64) * 2654435761 + seed) % 2**32
    h ^= h >> 15
    h = h * 2246822519 % 2**32
    h ^= h >> 13
    unit = (h >> 8).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return torch.tensor((unit * np.float32(scale)).reshape(shape))


def adamw():
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.AdamW([p], lr=0.1, weight_decay=0.1)
    for g in ([0.5, -0.25], [0.1, 0.2]):
        p.grad = torch.tensor(g)
        optimizer.step()
    print("// AdamW:", p.detach().tolist())


def losses():
    config = LlamaConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, intermediate_size=48, vocab_size=64,
                         max_position_embeddings=128, rms_norm_eps=1e-5, rope_theta=10000.0,
                         tie_word_embeddings=False, attn_implementation="eager")
    model = LlamaForCausalLM(config).float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + numbers(name, p.shape, 0.25) if "norm" in name else
                    numbers(name, p.shape, 0.5))
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0,
                                             target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = []
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                short = name.removeprefix("base_model.model.").replace(".default", "")
                p.copy_(numbers(short, p.shape, 0.25 if "lora_A" in name else 0))
                trained.append(p)
    optimizer = torch.optim.AdamW(trained, lr=0.02, weight_decay=0.1)
    total, warmup = 10, 2
    for step in range(total):
        batch = [sample((step * 3 + i) % 6) for i in range(3)]
        count = sum(int((labels[1:] >= 0).sum()) for _, labels in batch)
        loss = 0.0
        for ids, labels in batch:
            logits = model(input_ids=ids[None]).logits[0, :-1]
            part = torch.nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100,
                                                     reduction="sum") / count
            part.backward()
            loss += part.item()
        factor = step / warmup if step < warmup else \
            0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * factor
        norm = torch.nn.utils.clip_grad_norm_(trained, 0.5)
        optimizer.step()
        optimizer.zero_grad()
        print(f"    {{{loss!r}, {norm.item()!r}}},")


def sample(i):
    n = 5 + 7 * i % 11
    ids = torch.tensor([(13 * i + 5 * k + k * k) % 64 for k in range(n)])
    labels = ids.clone()
    labels[: 1 + i % 3] = -100
    return ids, labels


adamw()
losses()
