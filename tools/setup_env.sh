#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
set -euo pipefail

# What is installed where nothing suitable is there yet. `===` keeps pip from
# preferring a local build of torch, whose torchvision is not on PyPI.
TORCH=2.13.0
TORCHVISION=0.28.0
MMCV=2.1.0
OPENMMLAB=(mmengine==0.10.7 mmdet==3.3.0 mmpretrain==1.2.0)
PYTHONS='Python 3.10, 3.11 or 3.12'
usage() {
    cat <<'USAGE'
Usage: bash tools/setup_env.sh [--tests] [--python PYTHON]

Installs everything that mmloc needs into .venv in this checkout, or uses the
active environment if mmloc and all of its needs are installed there already.
What is there is kept, so running it again takes seconds. Prints the Python to
use on standard output, and everything else on standard error.

  --tests          also what the tests need
  --python PYTHON  the Python 3.10, 3.11 or 3.12 to make .venv from

Downloads and the compiled mmcv are kept in $MMLOC_CACHE, by default
~/.cache/mmloc. Nothing is written outside of it and of this checkout.
USAGE
}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "setup_env: $*"
    exit 1
}

clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Shows what the command whose output is read is doing: a live line on a
# terminal, a line every now and then elsewhere.
progress() {
    local line='' doing='' start=$SECONDS last=$SECONDS first=0 k n left
    while true; do
        if IFS= read -r -t 1 line; then
            if [[ $line =~ ^\ *\[([0-9]+)/([0-9]+)\]\  ]]; then
                k=${BASH_REMATCH[1]} n=${BASH_REMATCH[2]}
                ((k > 1)) || first=$SECONDS
                left=$(((SECONDS - first) * (n - k) / (k > 1 ? k - 1 : 1)))
                doing="compiled $k of $n files, $((100 * k / n)) %, about \
$(clock "$left") left"
                ((k > 1)) || doing="compiled 1 of $n files"
            elif [[ $line =~ ^\ *(Collecting|Downloading|Building|Preparing|Installing|Using\ cached)\  ]]; then
                doing=${line#"${line%%[! ]*}"}
            fi
        elif (($? <= 128)); then # the end, not just a second of silence
            break
        fi
        if [[ -t 2 ]]; then
            printf '\r\033[K  %s  %.65s' "$(clock $((SECONDS - start)))" \
                "$doing" >&2
        elif ((SECONDS - last >= 20)); then
            last=$SECONDS
            say "  $(clock $((SECONDS - start)))  ${doing:0:100}"
        fi
    done
    [[ ! -t 2 ]] || printf '\r\033[K' >&2
}

# `step TEXT COMMAND...` runs the command with its output in the log, and ends
# the script with one sentence if it fails.
step() {
    local text=$1 from
    shift
    say "$text"
    from=$(($(wc -l <"$LOG") + 1))
    "$@" </dev/null 2>&1 | tee -a "$LOG" | progress ||
        explain "$text" "$(tail -n "+$from" "$LOG")"
}

explain() {
    local text=$1 said=$2
    if grep -qiE 'no space left|errno 28' <<<"$said"; then
        die "The disk is full: free some space and run this again."
    elif grep -qE 'Retrying \(|NewConnection|NameResolution|ProxyError|SSLError|Connection (refused|reset|timed out|aborted)|[Rr]ead timed out|Could not fetch URL|from versions: none|is unreachable' <<<"$said"; then
        die "The package index cannot be reached: check the network, or the \
proxy and index settings of pip, and run this again; what was done is kept."
    elif grep -qE 'Killed|internal compiler error|Cannot allocate memory' <<<"$said"; then
        die "The compiler ran out of memory: run this again with MAX_JOBS=1."
    fi
    tail -n 15 <<<"$said" >&2
    die "\"$text\" failed, see the lines above: all of it is in $LOG."
}

install() { "$PY" -m pip install "$@"; }

# Asks an environment; see .dev/env_facts.py.
facts() { "$PY" "$ROOT/.dev/env_facts.py" "$@"; }

works() { "$PY" -c "import $1" >>"$LOG" 2>&1; }

ready() {
    (cd / && PY=$1 facts installed "$ROOT" && "$1" -m mmloc.utils.check_env \
        --quiet --extras "${EXTRAS[@]}") >/dev/null 2>&1
}

# `need_disk A B`: A GB free for .venv and B GB for downloads.
need_disk() {
    local folder gb free
    for folder in "$VENV" "$CACHE"; do
        gb=$1
        [[ $(disk_of "$VENV") != "$(disk_of "$CACHE")" ]] || gb=$(($1 + $2))
        free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1048576) }')
        ((free >= gb)) || die "Only $free GB are free where $folder lies, but \
$gb GB are needed: free some space, or set MMLOC_CACHE to a folder on another \
disk, and run this again."
        set -- "$2" "$1"
    done
}

disk_of() { df -Pk "$1" | awk 'NR == 2 { print $1 }'; }

need_compiler() {
    local headers
    command -v "${CXX:-c++}" >/dev/null || die "There is no C++ compiler, \
which building mmcv needs: install one (Debian, Ubuntu: apt-get install g++; \
conda: conda install gxx) and run this again."
    headers=$("$PY" -c 'import sysconfig as s; print(s.get_path("include"))')
    [[ -e $headers/Python.h ]] || die "There is no $headers/Python.h, which \
building mmcv needs: install the headers of this Python (Debian, Ubuntu: \
apt-get install python3-dev) and run this again."
}

make_venv() {
    local candidate base=''
    if "$PY" -c '' 2>/dev/null; then
        facts supported || die "$VENV is not made from $PYTHONS, which mmloc \
needs: remove that folder and run this again."
        "$PY" -m pip --version >/dev/null 2>&1 ||
            step "Adding pip to .venv" "$PY" -m ensurepip
        return
    fi
    for candidate in ${BASE:-python3 python3.11 python3.12 python3.10 python}
    do
        if PY=$candidate facts supported >/dev/null 2>&1; then
            base=$candidate
            break
        fi
    done
    [[ -n $base ]] || die "${BASE:-No python on PATH} is not $PYTHONS, which \
mmloc needs: install one of them, or pass it with --python."
    "$base" -c 'import ensurepip, venv' 2>/dev/null || die "$base cannot make \
an environment: install its venv module (Debian, Ubuntu: apt-get install \
python3-venv) and run this again."
    # Only what an attempt cut short has left, if anything, is cleared.
    step "Making .venv from $("$base" --version)" \
        "$base" -m venv --clear "$VENV"
}

install_torch() {
    local torch wanted
    torch=$(facts version torch)
    wanted=$(grep '^torch[><=]' requirements/runtime.txt)
    if [[ -z $torch ]]; then
        need_disk 6 5
        step "Installing torch $TORCH and torchvision $TORCHVISION" \
            install "torch===$TORCH" "torchvision==$TORCHVISION"
        return
    fi
    if [[ $(facts unmet requirements/runtime.txt) == *"$wanted"* ]]; then
        die "$VENV has torch $torch, which is left alone, but mmloc needs \
$wanted: install such a torch there yourself, or remove the folder, and run \
this again."
    fi
    if [[ -z $(facts version torchvision) ]]; then
        # torch 2.6.x goes with torchvision 0.21.x, 2.7.x with 0.22.x, ...
        [[ $torch =~ ^2\.([0-9]+)\.([0-9]+) ]]
        step "Installing the torchvision of torch $torch" install --no-deps \
            "torchvision==0.$((BASH_REMATCH[1] + 15)).${BASH_REMATCH[2]}"
    fi
    works torchvision.ops || die "torch $torch and torchvision \
$(facts version torchvision) in $VENV do not work together: install the \
torchvision of this torch from where the torch came from, or remove the \
folder, and run this again."
}

# mmengine asks for opencv-python, so pip adds that one to any other flavour,
# and the two overwrite each other's files.
keep_one_opencv() {
    local keep=$1 found
    mapfile -t found < <(facts opencv)
    if ((${#found[@]} != 1)); then
        ((${#found[@]} == 0)) || step "Removing all of ${found[*]}" \
            "$PY" -m pip uninstall -y "${found[@]}"
        step "Installing $keep" install --no-deps "$keep"
    fi
    works cv2 && return
    # The flavour that needs no libraries of a desktop.
    step "Replacing OpenCV, which does not load here" \
        "$PY" -m pip uninstall -y "$(facts opencv)"
    step "Installing opencv-python-headless" \
        install --no-deps opencv-python-headless
}

install_packages() {
    local before needs
    mapfile -t before < <(facts opencv)
    mapfile -t needs < <(facts unmet requirements/build.txt \
        requirements/runtime.txt "${FILES[@]}")
    [[ -z $(facts unmet requirements/mminstall.txt | sed '/^mmcv/d') ]] ||
        needs+=("${OPENMMLAB[@]}")
    if ((${#needs[@]})); then
        need_disk 1 1
        step "Installing ${needs[*]}" install "${needs[@]}"
    fi
    ((${#before[@]} == 1)) || before=(opencv-python)
    keep_one_opencv "${before[0]}"
}

jobs_for_build() {
    local cores memory
    cores=$(getconf _NPROCESSORS_ONLN)
    # One compiler takes up to 2 GB.
    memory=$(awk '/^MemAvailable/ { print int($2 / 2097152) }' \
        /proc/meminfo 2>/dev/null) || memory=$cores
    echo $((memory < 1 ? 1 : memory < cores ? memory : cores))
}

build_mmcv() {
    local wheels=$1 operators=$2 cuda=(FORCE_CUDA=1)
    need_compiler
    [[ $operators != cpu ]] || cuda=(FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=)
    step "Building mmcv $MMCV with its operators ($operators); only once" \
        env "${cuda[@]}" MMCV_WITH_OPS=1 CFLAGS='-g0 -O2' \
        MAX_JOBS="${MAX_JOBS:-$(jobs_for_build)}" "PATH=$VENV/bin:$PATH" \
        "$PY" -m pip wheel -v --no-build-isolation --no-deps --no-cache-dir \
        --no-binary mmcv --wheel-dir "$TMPDIR/wheels" "mmcv==$MMCV"
    mkdir -p "$wheels"
    mv "$TMPDIR"/wheels/mmcv-*.whl "$wheels"
}

install_mmcv() {
    local operators wheels attempt
    if works mmcv.ops &&
        [[ $(facts unmet requirements/mminstall.txt) != *mmcv* ]]; then
        return
    fi
    operators=$(facts operators 2>>"$LOG")
    if [[ $operators == cpu-no-nvcc ]]; then
        operators=cpu
        say "There is a GPU but no nvcc of the CUDA version of torch: mmcv \
gets its operators for the CPU only."
    fi
    wheels=$CACHE/wheels/$(facts key "$operators" "$MMCV")
    for attempt in kept fresh; do
        [[ $attempt == kept ]] || rm -rf "$wheels"
        compgen -G "$wheels/mmcv-*.whl" >/dev/null ||
            build_mmcv "$wheels" "$operators"
        step "Installing mmcv $MMCV" install --no-deps --force-reinstall \
            "$wheels"/mmcv-*.whl
        works mmcv.ops && return
    done
    die "The operators of mmcv were built but do not load: see $LOG."
}

set_up() {
    local wheel
    mkdir -p "$VENV" "$CACHE/tmp"
    if command -v flock >/dev/null; then
        exec 9>"$CACHE/lock"
        flock -n 9 || say "Waiting for another set-up to end."
        flock 9
    fi
    : >"$LOG"
    TMPDIR=$(mktemp -d "$CACHE/tmp/XXXXXX")
    trap 'rm -rf "$TMPDIR"' EXIT
    export TMPDIR PIP_CACHE_DIR=${PIP_CACHE_DIR:-$CACHE/pip} PIP_NO_INPUT=1 \
        PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_RETRIES=${PIP_RETRIES:-2} \
        PYTHONNOUSERSITE=1
    unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_USER
    make_venv
    # Better now than after a long download.
    wheel=$("$PY" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    works mmcv || compgen -G "$CACHE/wheels/$wheel-*" >/dev/null ||
        need_compiler
    install_torch
    install_packages
    install_mmcv
    (cd / && facts installed "$ROOT") ||
        step "Installing mmloc itself" install --no-deps \
            --no-build-isolation --editable "$ROOT"
    (cd / && "$PY" -m mmloc.utils.check_env --quiet \
        --extras "${EXTRAS[@]}" >&2) ||
        die "Something is still not in order, see the table above."
}

main() {
    local active start=$SECONDS
    BASE='' EXTRAS=() FILES=()
    while (($#)); do
        case $1 in
            --tests) EXTRAS=(tests) FILES=(requirements/tests.txt) ;;
            --python) BASE=${2:-} && shift && : "${BASE:?needs a Python}" ;;
            -h | --help) usage && exit ;;
            *) usage >&2 && die "There is no option $1." ;;
        esac
        shift
    done
    ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
    VENV=$ROOT/.venv
    PY=$VENV/bin/python
    CACHE=${MMLOC_CACHE:-${XDG_CACHE_HOME:-${HOME:-$ROOT}/.cache}/mmloc}
    LOG=$CACHE/setup_env.log
    cd "$ROOT"
    # Where packages would leave their own caches.
    export XDG_CACHE_HOME=$CACHE MPLCONFIGDIR=$CACHE/matplotlib
    if [[ -n $BASE && -x $PY && $("$BASE" -V 2>&1) != "$("$PY" -V)" ]]; then
        die "$VENV is made from $("$PY" -V), which $BASE is not: remove that \
folder and run this again."
    fi
    for active in $([[ -n $BASE ]] || command -v python python3) "$PY"; do
        if [[ -x $active ]] && ready "$active"; then
            say "Everything is there."
            "$active" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    set_up
    say "Ready after $(clock $((SECONDS - start))) minutes."
    echo "$PY"
}

# Sourced by its tests.
[[ ${BASH_SOURCE[0]} != "$0" ]] || main "$@"
