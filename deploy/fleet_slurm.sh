#!/bin/bash
# A fleet of all nodes of a Slurm job but the first, which has the driver: it measures nothing.
#
# First, on a file system that all nodes see:
#     python3 -m venv ~/tuner && ~/tuner/bin/pip install 'serving-tuner[triton,fleet]'
# Then, with the options of `tuner optimize`, or `resume STUDY` to go on with a study:
#     sbatch --nodes 5 fleet_slurm.sh optimize --study night --budget-ms 50 --timeout 7h
#
#SBATCH --job-name=tuner
#SBATCH --nodes=5
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=08:00:00
#SBATCH --output=tuner-%j.log
# With GPUs: #SBATCH --gpus-per-node=1
# Others' programs on a node spoil what is measured there, so a node is the job's alone.
set -euo pipefail

programs="${TUNER_PROGRAMS:-$HOME/tuner/bin}"
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head="${nodes[0]}"
hosts=$((${#nodes[@]} - 1))
# Jobs of one user may meet on a node after each other: each has its own port and folder.
port=$((20000 + SLURM_JOB_ID % 10000))

# In the environment alone: options of a program are seen by all users of a node.
RAY_AUTH_TOKEN="$("$programs/python" -c 'import secrets; print(secrets.token_hex(32))')"
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_ADDRESS="$head:$port"
# Ray's own, on every node: no processors to run other tasks on, and a small object store.
ray=("$programs/ray" start --num-cpus 0 --object-store-memory 80000000 --block)

on_nodes() { # how many, which of them, command
    # All processors and all memory of a node, also where Slurm gives a task those that it asks for.
    srun --nodes "$1" --ntasks "$1" --overlap --cpu-bind none --mem 0 --kill-on-bad-exit=0 "${@:2}"
}

trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT
on_nodes 1 --nodelist "$head" \
    "${ray[@]}" --head --port "$port" --include-dashboard=false --temp-dir "/tmp/ray-$SLURM_JOB_ID" &
until "$programs/ray" health-check --address "$RAY_ADDRESS" 2> /dev/null; do
    kill -0 $! # it has ended: so does this script
    sleep 1
done
on_nodes "$hosts" --exclude "$head" \
    "${ray[@]}" --address "$RAY_ADDRESS" --resources '{"tuner_host": 1}' &
until "$programs/tuner" fleet status > /dev/null 2>&1; do # no host has joined yet
    kill -0 $!
    sleep 1
done

command="$1"
shift
fleet=(--fleet auto)
if [ "$command" = resume ]; then
    fleet=() # the study knows
fi
"$programs/tuner" "$command" "${fleet[@]}" "$@"
