#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
# Test with several processes: tools/dist_test.sh CONFIG CHECKPOINT GPUS [flags of test.py]
# On machines without a GPU, GPUS is the number of processes. With several
# machines, set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail
if (($# < 3)); then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [flags of test.py]" >&2
    exit 2
fi
# Behind -- or torchrun would take --start for its own --start-method.
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$3" -- \
    "$(dirname "$0")/test.py" "$1" "$2" --launcher pytorch "${@:4}"
