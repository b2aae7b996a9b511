"""Every GGUF type decoded as gguf-py decodes it, bit for bit, from a file of arbitrary bytes; the others refused by name.

The file is SmolLM2's with every matrix replaced: random blocks, but for half-precision numbers, which are kept finite.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # the files beside this one are not the libraries of the same name
SLLM = os.environ.get("SLLM_BIN", "")
MODEL = Path(os.environ.get("SLLM_MODELS", "")) / "smollm2-135m-instruct.Q4_1.gguf"
HALVES = {"F16": [0], "BF16": [0], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "IQ4_NL": [0],
          "MXFP4": [], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_XS": [0]}


def random_blocks(rng, kind, rows, columns):
    import gguf
    import numpy as np
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    if kind.name not in HALVES:  # it will not be read
        return np.zeros((rows, columns // elements * size), np.uint8)
    data = rng.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    for at in HALVES[kind.name]:
        data[:, at + 1] &= 0xBF  # exponents below 16 of F16 and below 128 of BF16
    if kind.name == "MXFP4":
        data[:, 0] &= 0x7F  # 12 * 2^127 is no number
    return data.reshape(rows, -1)


def write(path, choose):
    """SmolLM2's metadata and vectors with the matrices that choose(columns) names; returns their bytes."""
    import gguf
    import numpy as np
    reader = gguf.GGUFReader(MODEL)
    writer = gguf.GGUFWriter(path, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        writer.add_key_value(key, field.contents(), kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    rng, written = np.random.default_rng(3), {}
    for t in reader.tensors:
        if len(t.shape) == 1:
            writer.add_tensor(t.name, t.data)
            continue
        columns, rows = map(int, t.shape)
        kind = choose(columns)
        data = random_blocks(rng, kind, rows, columns)
        written[t.name] = (kind, data)
        writer.add_tensor(t.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return written


def decodes_alike(folder):
    import gguf
    import numpy as np
    kinds = [gguf.GGMLQuantizationType[name] for name in HALVES]
    turns = {576: 0, 1536: 0}

    def choose(columns):
        fitting = [k for k in kinds if columns % gguf.GGML_QUANT_SIZES[k][0] == 0]
        if columns % 256 == 0:
            fitting.sort(key=lambda k: -gguf.GGML_QUANT_SIZES[k][0])  # those that fit nowhere else first
        turns[columns] += 1
        return fitting[(turns[columns] - 1) % len(fitting)]

    written = write(folder / "random.gguf", choose)
    subprocess.run([SLLM, "import", folder / "random.gguf", folder / "f32.gguf", "--type", "f32", "--quiet"],
                   check=True, capture_output=True)
    different, count = {}, {}
    for t in gguf.GGUFReader(folder / "f32.gguf").tensors:
        if t.name not in written:
            continue
        kind, data = written[t.name]
        expected = gguf.quants.dequantize(data, kind).astype(np.float32)
        ours = np.asarray(t.data).reshape(expected.shape)
        different[kind.name] = different.get(kind.name, 0) + int((ours.view(np.uint32) != expected.view(np.uint32)).sum())
        count[kind.name] = count.get(kind.name, 0) + expected.size
    for name in HALVES:
        good = different.get(name) == 0
        print(f"{'PASS' if good else 'FAIL'} {name}: {different.get(name)} of {count.get(name)} numbers differ from gguf-py's")
    return set(count) == set(HALVES) and not any(different.values())


def refused(folder):
    import gguf
    good = True
    for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0"):
        kind = gguf.GGMLQuantizationType[name]
        write(folder / f"{name}.gguf", lambda columns: kind if columns % 256 == 0 else gguf.GGMLQuantizationType.Q4_0)
        done = subprocess.run([SLLM, "show", folder / f"{name}.gguf"], capture_output=True, text=True)
        (folder / f"{name}.gguf").unlink()
        named = done.returncode == 3 and f"({name})" in done.stderr
        print(f"{'PASS' if named else 'FAIL'} {name}: exit {done.returncode}, {done.stderr.strip()[:160]}")
        good &= named
    return good


def main():
    if not SLLM or not MODEL.exists():
        print("SKIP gguf_types: SLLM_BIN or SmolLM2 in SLLM_MODELS is missing")
        return 0
    try:
        import gguf  # noqa: F401
    except ImportError as e:
        print(f"SKIP gguf_types: {e}")
        return 0
    with tempfile.TemporaryDirectory(prefix="sllm-types-") as folder:
        return 0 if decodes_alike(Path(folder)) & refused(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
