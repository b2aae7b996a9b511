#!/usr/bin/env python3
# Makes the constants of src/quant/golden_test.cc: what gguf-py decodes from blocks of bytes that both
# sides compute from one formula. Needs numpy and gguf. Prints C++.
import gguf
import numpy as np

BLOCKS = 64
HALVES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "IQ4_NL": [0], "MXFP4": [],
          "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_XS": [0]}


def blocks(kind):
    size = gguf.GGML_QUANT_SIZES[kind][1]
    h = np.arange(BLOCKS * size, dtype=np.uint64) * 2654435761 % 2**32
    h ^= h >> 15
    h = h * 2246822519 % 2**32
    h ^= h >> 13
    data = (h >> 8 & 255).astype(np.uint8).reshape(BLOCKS, size)
    for at in HALVES[kind.name]:
        data[:, at + 1] &= 0xBF  # an exponent below 16: half-precision numbers that are finite
    return data


def fnv1a(data):
    h = 14695981039346656037
    for byte in data:
        h = (h ^ byte) * 1099511628211 % 2**64
    return h


for name in HALVES:
    kind = gguf.GGMLQuantizationType[name]
    numbers = gguf.quants.dequantize(blocks(kind), kind).astype("<f4")
    assert not np.isnan(numbers).any()
    print(f"    {{DType::k{name}, {{{', '.join(map(str, HALVES[name]))}}}, {fnv1a(numbers.tobytes()):#x}}},")
