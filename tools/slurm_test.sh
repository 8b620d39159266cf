#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
# Test on a Slurm cluster: tools/slurm_test.sh PARTITION JOB CONFIG CHECKPOINT [flags of test.py]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS are read from the environment.
set -euo pipefail
if (($# < 4)); then
    echo "usage: $0 PARTITION JOB CONFIG CHECKPOINT [flags of test.py]" >&2
    exit 2
fi
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
exec srun -p "$1" --job-name="$2" \
    --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/test.py" "$3" "$4" \
    --launcher slurm "${@:5}"
