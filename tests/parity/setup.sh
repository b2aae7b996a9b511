# Sourced by run.sh: exports what the comparisons need, installing it under build/parity.
#   PARITY_PYTHON  a Python with transformers, PEFT ...     SLLM_BIN     our program
#   SLLM_MODELS    folder of real GGUF files                LLAMA_BIN    llama.cpp's programs ("" when absent)
#   SLLM_SHARED    folder with data/ and models/fetch.sh ("" when absent; tests that need it skip)
# PARITY_LLAMA_TARGETS names llama.cpp's programs to build; bench/peers also needs llama-batched-bench llama-server llama-completion.
# PARITY_LLAMA=0 leaves llama.cpp out (its build takes about ten minutes on two cores).
parity=$root/build/parity; mkdir -p "$parity/models"
export SLLM_BIN=${SLLM_BIN:-$root/build/release/sllm}
export SLLM_SHARED=${SLLM_SHARED:-$([ -d "$root/../shared/data" ] && cd "$root/../shared" && pwd)}
export SLLM_MODELS=${SLLM_MODELS:-$parity/models}
export PARITY_PYTHON=${PARITY_PYTHON:-$parity/venv/bin/python}

# Names the packages that a Python lacks: PyTorch and all of requirements.txt.
missing_packages() {  # python
  "$1" -c 'import importlib.metadata as m, re, sys
names = [re.split("[=<>]", line)[0].strip() for line in ["torch", *open(sys.argv[1])]]
have = {re.sub("[-_.]+", "-", d.metadata["Name"]).lower() for d in m.distributions()}
print(*[n for n in names if n and re.sub("[-_.]+", "-", n).lower() not in have])' "$root/tests/parity/requirements.txt" 2>/dev/null || echo "a working Python"
}
missing=$(missing_packages "$PARITY_PYTHON")
if [ -n "$missing" ]; then
  echo "parity: $PARITY_PYTHON has no $missing; installing PyTorch and requirements.txt into build/parity/venv"
  export PARITY_PYTHON=$parity/venv/bin/python
  python3 -m venv "$parity/venv" && "$parity/venv/bin/pip" install -q --disable-pip-version-check torch==2.13.0 2>&1 | grep -v WARNING
  "$parity/venv/bin/pip" install -q --disable-pip-version-check -r "$root/tests/parity/requirements.txt" 2>&1 | grep -v WARNING
  missing=$(missing_packages "$PARITY_PYTHON")
  [ -z "$missing" ] || echo "parity: could not install $missing; what needs them is skipped"
fi
[ -x "$PARITY_PYTHON" ] || export PARITY_PYTHON=python3

if [ -n "$SLLM_SHARED" ] && [ -f "$SLLM_SHARED/models/fetch.sh" ]; then
  for name in ${PARITY_MODELS:-smollm2-135m qwen2.5-coder-0.5b}; do
    bash "$SLLM_SHARED/models/fetch.sh" "$name" "$SLLM_MODELS" >/dev/null 2>&1 || echo "parity: $name could not be fetched"
  done
fi

export LLAMA_BIN=${LLAMA_BIN:-$parity/llama/bin}
if [ ! -x "$LLAMA_BIN/llama-perplexity" ] && [ "${PARITY_LLAMA:-1}" != 0 ]; then
  echo "parity: building llama.cpp from llama-cpp-python's source package"
  flags=(-DGGML_NATIVE=ON)
  if grep -q amx_int8 /proc/cpuinfo; then  # built with g++ 12, its AMX path dies with a general protection fault
    flags=(-DGGML_NATIVE=OFF -DGGML_AVX512=ON -DGGML_AVX512_VBMI=ON -DGGML_AVX512_VNNI=ON -DGGML_AVX512_BF16=ON)
  fi
  (cd "$parity" && "$PARITY_PYTHON" -m pip download -q --no-deps --no-binary :all: llama-cpp-python==0.3.36 2>/dev/null &&
   tar xf llama_cpp_python-0.3.36.tar.gz &&
   cmake -S llama_cpp_python-0.3.36/vendor/llama.cpp -B llama -G Ninja -DCMAKE_BUILD_TYPE=Release "${flags[@]}" -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DBUILD_SHARED_LIBS=OFF &&
   cmake --build llama --target ${PARITY_LLAMA_TARGETS:-llama-bench llama-gguf-split llama-imatrix llama-perplexity llama-quantize}) >"$parity/llama.log" 2>&1 || true
fi
llama=$parity/llama_cpp_python-0.3.36/vendor/llama.cpp
for program in llama_logits llama_tokens; do
  if [ -f "$parity/llama/src/libllama.a" ] && [ "$LLAMA_BIN" = "$parity/llama/bin" ] && [ "$root/tests/parity/$program.cc" -nt "$LLAMA_BIN/$program" ]; then
    c++ -std=c++17 -O1 -I"$llama/include" -I"$llama/ggml/include" "$root/tests/parity/$program.cc" "$parity"/llama/{src/libllama,ggml/src/libggml,ggml/src/libggml-cpu,ggml/src/libggml-base}.a -fopenmp -lpthread -ldl -o "$LLAMA_BIN/$program" || true
  fi
done
[ -x "$LLAMA_BIN/llama-perplexity" ] || { echo "parity: llama.cpp is not at hand; its comparisons are skipped"; export LLAMA_BIN=; }
