#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
# Train with several processes: tools/dist_train.sh CONFIG GPUS [flags of train.py]
# On machines without a GPU, GPUS is the number of processes. With several
# machines, set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail
if (($# < 2)); then
    echo "usage: $0 CONFIG GPUS [flags of train.py]" >&2
    exit 2
fi
# Behind -- or torchrun would take --start for its own --start-method.
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$2" -- \
    "$(dirname "$0")/train.py" "$1" --launcher pytorch "${@:3}"
