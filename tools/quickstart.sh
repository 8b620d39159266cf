#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
set -euo pipefail

# From a bare machine to a pretrained detector; `--help` says more. This file
# sets up, tools/quickstart.py does the rest.
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)

# Mistakes in the arguments are told before the set-up, which can take long.
for python in python3 python "$tools/../.venv/bin/python"; do
    if command -v "$python" >/dev/null; then
        "$python" "$tools/quickstart.py" --check "$@" || exit
        break
    fi
done
for argument in "$@"; do
    case $argument in -h | --help) exit ;; esac
done

# Threads that spin while they wait take the cores from the data loaders.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
python=$(bash "$tools/setup_env.sh")
exec "$python" "$tools/quickstart.py" "$@"
