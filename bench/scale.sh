#!/usr/bin/env bash
# Two machines of one core each against one: network namespaces that a virtual cable joins, each with a name and a core of
# its own, tune together under mpirun. The weights must be those of one process, bit for bit; the speed is compared in turns.
# Usage: scale.sh MODEL [TURNS [TUNE FLAGS...]]     (MODEL: GGUF file or Hugging Face folder). Needs root and two cores.
#   SLLM_BIN    the program (default build/release/sllm, with libsllm_mpi.so beside it)
#   STEPS, BATCH    of a run (6 and 16)
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
model=${1:?usage: scale.sh MODEL [TURNS [TUNE FLAGS...]]}; turns=${2:-3}; shift $(($# < 2 ? $# : 2))
sllm=${SLLM_BIN:-$project/build/release/sllm}
[ "$(id -u)" = 0 ] || { echo "error: making network namespaces needs root" >&2; exit 2; }
command -v mpirun >/dev/null || { echo "error: there is no mpirun; install openmpi-bin" >&2; exit 2; }
work=$(mktemp -d)
trap 'ip netns del sllm-0 2>/dev/null || true; ip netns del sllm-1 2>/dev/null || true; rm -rf "$work"' EXIT

ip netns add sllm-0; ip netns add sllm-1
ip link add veth-sllm-0 netns sllm-0 type veth peer name veth-sllm-1 netns sllm-1
for n in 0 1; do
  ip -n sllm-$n addr add 10.77.0.$((n + 1))/24 dev veth-sllm-$n
  ip -n sllm-$n link set veth-sllm-$n up; ip -n sllm-$n link set lo up
done
# As rsh: agent HOST COMMAND...
cat >"$work/agent" <<'AGENT'
#!/bin/bash
host=$1; shift
n=$((${host##*.} - 1))
exec ip netns exec sllm-$n unshare -u taskset -c $n sh -c "hostname sllm-$n; $*"
AGENT
chmod +x "$work/agent"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

flags=(-m "$model" --data "$project/examples/device-control/test.jsonl" --batch "${BATCH:-16}" --steps "${STEPS:-6}" --shards 2 --answers 0 -q --json "$@")
one() { "$work/agent" 10.77.0.1 "$sllm tune ${flags[*]} --out $1 >$1.json"; }
two() {
  "$work/agent" 10.77.0.1 "mpirun -n 2 --host 10.77.0.1,10.77.0.2 --bind-to none --mca plm_rsh_agent $work/agent \
    --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
    -x PATH $sllm tune ${flags[*]} --threads 1 --out $1 >$1.json"
}
for turn in $(seq "$turns"); do
  one "$work/one-$turn"; two "$work/two-$turn"
  cmp "$work/one-$turn"/*/*odel.safetensors "$work/two-$turn"/*/*odel.safetensors
done
python3 - "$work" "$turns" <<'PY'
import json, statistics, sys
work, turns = sys.argv[1], int(sys.argv[2])
speed = {who: [json.load(open(f"{work}/{who}-{t}.json"))["tok_s"] for t in range(1, turns + 1)] for who in ("one", "two")}
ratios = sorted(b / a for a, b in zip(speed["one"], speed["two"]))
print(f"one machine  {statistics.median(speed['one']):7.1f} tokens/s\ntwo machines {statistics.median(speed['two']):7.1f} tokens/s, "
      f"{statistics.median(ratios):.2f}x (from {ratios[0]:.2f} to {ratios[-1]:.2f}, {turns} turns), the same weights")
PY
