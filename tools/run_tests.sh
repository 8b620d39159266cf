#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
set -euo pipefail

usage() {
    cat <<'USAGE'
Usage: bash tools/run_tests.sh [--quick] [PYTEST_ARGUMENT ...]

Sets up as tools/setup_env.sh does, with what the tests need, and runs the
checks of the code and all tests. Ends with 1 if anything fails.

  --quick  leave out the tests that take long
USAGE
}

failed=()

# `check NAME COMMAND...` runs one check and goes on if it fails.
check() {
    printf '\n== %s: %s\n' "$1" "${*:2}"
    "${@:2}" || failed+=("$1")
}

select=()
case ${1:-} in
    -h | --help) usage && exit ;;
    --quick) select=(-m 'not slow') && shift ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(bash tools/setup_env.sh --tests)
bin=$(dirname "$python")
# Small tensors: more threads only get in each other's way.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
# Freed tensors go back to the system, which the test processes share.
export MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-1048576}

check 'Lint' "$python" -m ruff check .
check 'Shell scripts' "$bin/shellcheck" tools/*.sh .ci/run
check 'Docstrings' "$python" -m interrogate --quiet mmloc
# A file of tests shares its fixtures, and stays in one process.
check 'Tests' "$python" -m pytest --numprocesses auto --maxprocesses 4 \
    --dist loadfile "${select[@]}" "$@"

if ((${#failed[@]})); then
    printf '\nFailed: %s\n' "${failed[*]}"
    exit 1
fi
