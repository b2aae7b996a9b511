#!/usr/bin/env python3
# Makes the constants of src/train/{tune,dora,full,preference,distillation}_test.cc and the AdamW constants
# of src/ops/ops_test.cc: steps of PEFT (LoRA, DoRA, LoRA+) or of torch alone on a tiny Llama whose
# weights both sides compute from one formula.
# Needs torch, transformers and peft. Prints C++.
import math

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import LlamaConfig, LlamaForCausalLM


def numbers(name, shape, scale):
    """tests/support/tuning.h: FNV-1a of the name, then a hash of each index; exact in f32."""
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


def base(prefix="", **fields):
    config = LlamaConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, intermediate_size=48, max_position_embeddings=128,
                         rms_norm_eps=1e-5, rope_theta=10000.0, attn_implementation="eager", **fields)
    model = LlamaForCausalLM(config).float()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(1 + numbers(prefix + name, p.shape, 0.25) if "norm" in name else
                    numbers(prefix + name, p.shape, 0.5))
    return model


def adapted(dora=False):
    """A and B of rank 4 on all linears."""
    model = get_peft_model(base(vocab_size=64, tie_word_embeddings=False),
                           LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, use_dora=dora,
                                      target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad and "magnitude" not in name:
                short = name.removeprefix("base_model.model.").replace(".default", "")
                p.copy_(numbers(short, p.shape, 0.25 if "lora_A" in name else 0))
    return model


def steps(name, total, model, step_loss, lr=0.02, plus=None):
    """`total` steps of AdamW; step_loss(model, step) does the backward and returns the loss."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if plus:
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=lr, loraplus_lr_ratio=plus,
                                              loraplus_weight_decay=0.1)
    else:
        optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.1)
    peaks = [group["lr"] for group in optimizer.param_groups]
    print(f"// {name}")
    warmup = 2
    for step in range(total):
        loss = step_loss(model, step)
        factor = step / warmup if step < warmup else \
            0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        for group, peak in zip(optimizer.param_groups, peaks):
            group["lr"] = peak * factor
        norm = torch.nn.utils.clip_grad_norm_(trained, 0.5)
        optimizer.step()
        optimizer.zero_grad()
        print(f"    {{{loss!r}, {norm.item()!r}}},")


def losses(name, model, **settings):
    def step_loss(model, step):
        batch = [sample((step * 3 + i) % 6) for i in range(3)]
        count = sum(int((labels[1:] >= 0).sum()) for _, labels in batch)
        loss = 0.0
        for ids, labels in batch:
            logits = model(input_ids=ids[None]).logits[0, :-1]
            part = torch.nn.functional.cross_entropy(logits, labels[1:], ignore_index=-100,
                                                     reduction="sum") / count
            part.backward()
            loss += part.item()
        return loss
    steps(name, 10, model, step_loss, **settings)


def answers(i):
    """Prompt, chosen and rejected answer of pair i."""
    prompt = [(13 * i + 5 * k + k * k) % 64 for k in range(3 + 5 * i % 11)]
    chosen = [(7 * i + 11 * k + 3) % 64 for k in range(2 + i % 4)]
    rejected = [(5 * i + 3 * k * k + 1) % 64 for k in range(3 + 2 * i % 5)]
    return prompt, chosen, rejected


def log_probs(model, prompt, answer):
    """Of each token of the answer; of each token but the first."""
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, :-1].double()
    ids = torch.tensor((prompt + answer)[1:])
    all_tokens = logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0]
    return all_tokens[len(prompt) - 1:], all_tokens


def reference(model, prompt, answer):
    with torch.no_grad(), model.disable_adapter():
        return log_probs(model, prompt, answer)[0].sum()


def preferences(objective):
    beta, gamma, smoothing, desirable, undesirable = 0.5, 0.25, 0.1, 1.5, 0.75
    log_sigmoid = torch.nn.functional.logsigmoid

    def pair_loss(model, i):
        prompt, chosen, rejected = answers(i)
        (c, whole), (r, _) = log_probs(model, prompt, chosen), log_probs(model, prompt, rejected)
        if objective == "orpo":
            odds = [x.mean() - torch.log(-torch.expm1(x.mean())) for x in (c, r)]
            return -beta * log_sigmoid(odds[0] - odds[1]), whole
        if objective == "simpo":
            z = beta * (c.mean() - r.mean()) - gamma
            return -(1 - smoothing) * log_sigmoid(z) - smoothing * log_sigmoid(-z), whole
        ratios = [x.sum() - reference(model, prompt, a) for x, a in ((c, chosen), (r, rejected))]
        if objective == "ipo":
            return (ratios[0] / len(c) - ratios[1] / len(r) - 1 / (2 * beta)) ** 2, whole
        z = beta * (ratios[0] - ratios[1])
        return (-(1 - smoothing) * log_sigmoid(z) + smoothing * log_sigmoid(-z)) / (1 - 2 * smoothing), whole

    def kto_loss(model, batch):
        rows = [(answers(i)[0], answers(i)[1 + i % 2], i % 2 == 0) for i in batch]
        with torch.no_grad():
            shifted = [(rows[k][0], rows[k - 1][1]) for k in range(len(rows))]
            kl = sum(log_probs(model, p, a)[0].sum() - reference(model, p, a) for p, a in shifted)
            kl = (kl / len(rows)).clamp(min=0)
        total = 0.0
        for prompt, answer, wanted in rows:
            ratio = log_probs(model, prompt, answer)[0].sum() - reference(model, prompt, answer)
            z = beta * (ratio - kl) if wanted else beta * (kl - ratio)
            total = total + (desirable if wanted else undesirable) * (1 - torch.sigmoid(z))
        return total / len(rows)

    def step_loss(model, step):
        batch = [(step * 3 + i) % 6 for i in range(3)]
        if objective == "kto":
            loss = kto_loss(model, batch)
        else:
            terms = [pair_loss(model, i) for i in batch]
            loss = sum(term for term, _ in terms) / len(batch)
            if objective == "orpo":
                loss = loss - torch.cat([whole for _, whole in terms]).mean()
        loss.backward()
        return loss.item()
    steps(objective, 6, adapted(), step_loss)


def distillation(divergence, k, temperature, mixture, share):
    """Over the teacher's k likeliest tokens, and all others as one."""
    teacher = base("teacher.", vocab_size=64, tie_word_embeddings=False)

    def step_loss(model, step):
        batch = [sample((step * 3 + i) % 6) for i in range(3)]
        count = sum(int((labels[1:] >= 0).sum()) for _, labels in batch)
        loss = 0.0
        for ids, labels in batch:
            learned = labels[1:] >= 0
            student = model(input_ids=ids[None]).logits[0, :-1][learned].double()
            with torch.no_grad():
                taught = teacher(input_ids=ids[None]).logits[0, :-1][learned].double()
            q, p = ((z / temperature).softmax(-1) for z in (student, taught))
            top = p.topk(k, -1).indices
            mask = torch.zeros_like(p, dtype=torch.bool).scatter(-1, top, True)
            if k < p.shape[-1]:
                p, q = (torch.cat([x.gather(-1, top), x.masked_fill(mask, 0).sum(-1, keepdim=True)], -1)
                        for x in (p, q))
            m = mixture * p + (1 - mixture) * q
            part = (p * (p / q).log()).sum() if divergence == "forward" else \
                mixture * (p * (p / m).log()).sum() + (1 - mixture) * (q * (q / m).log()).sum()
            label = torch.nn.functional.cross_entropy(student, labels[1:][learned], reduction="sum")
            total = (share * part + (1 - share) * label) / count
            total.backward()
            loss += total.item()
        return loss
    steps(f"{divergence} {k}", 6, adapted(), step_loss)


def sample(i):
    n = 5 + 7 * i % 11
    ids = torch.tensor([(13 * i + 5 * k + k * k) % 64 for k in range(n)])
    labels = ids.clone()
    labels[: 1 + i % 3] = -100
    return ids, labels


adamw()
losses("LoRA", adapted())
# In float64: where steps are large, float32 is soon 1e-5 away from itself on another machine.
losses("DoRA", adapted(dora=True).double())
losses("LoRA+", adapted().double(), lr=0.005, plus=4)
losses("DoRA, LoRA+", adapted(dora=True).double(), lr=0.005, plus=4)
losses("full", base(vocab_size=320, tie_word_embeddings=True).double(), lr=0.005)
for objective in ("dpo", "ipo", "simpo", "orpo", "kto"):
    preferences(objective)
distillation("forward", 64, 1, 0.5, 1)
distillation("jsd", 8, 2, 0.3, 0.6)
