#!/usr/bin/env bash
# script/clip-vocabulary, as far as it goes without a network.
#
#   clip_vocabulary.sh SOURCE_ROOT
#
# Where CLIP's vocabulary is at hand ($DARKROOM_SHARED/clip-tokenizer, or shared/ beside the source tree) the script
# must know it for whole, and a damaged copy for damaged.
set -euo pipefail

script=$(cd "$1" && pwd)/script/clip-vocabulary
shared=${DARKROOM_SHARED:-$1/../shared}/clip-tokenizer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# expect CODE TEXT ARGUMENT...: no index is asked, since pip is told to ask none.
expect() {
    local code=$1 text=$2 got=0
    shift 2
    env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL PIP_NO_INDEX=1 XDG_DATA_HOME="$work/data home" \
        "$script" "$@" >"$work/output" 2>&1 || got=$?
    if [[ $got -ne $code ]] || ! grep -qF -- "$text" "$work/output"; then
        echo "clip-vocabulary $*: exit code $got, not $code with \"$text\":" >&2
        cat "$work/output" >&2
        failed=1
    fi
}

expect 0 "Usage: script/clip-vocabulary" --help
expect 2 "unknown argument '--nonsense'" --nonsense
expect 2 "--to needs a value" --to
expect 2 "--wheel needs a value" --wheel ''
expect 1 "there is no file $work/none.whl" --wheel "$work/none.whl"
echo "no package" >"$work/other.whl"
expect 1 "is not the file of open-clip-torch" --wheel "$work/other.whl"
[[ ! -e "$work/data home" ]] || { echo "a failed run left something behind" >&2; failed=1; }
if python3 -m pip --version >/dev/null 2>&1; then
    expect 1 "could not download open-clip-torch" --to "$work/offline"
else
    expect 1 "pip is missing" --to "$work/offline"
fi
[[ ! -e $work/offline ]] || { echo "a failed download left a folder behind" >&2; failed=1; }

if [[ -r $shared/vocab.json ]]; then
    mkdir -p "$work/data home/darkroom/tokenizer"
    cp "$shared"/{vocab.json,merges.txt} "$work/data home/darkroom/tokenizer"
    chmod u+w "$work/data home/darkroom/tokenizer"/*
    expect 0 "is in $work/data home/darkroom/tokenizer already"
    echo x >>"$work/data home/darkroom/tokenizer/merges.txt"
    expect 1 "is not the file of open-clip-torch" --wheel "$work/other.whl"
else
    echo "CLIP's vocabulary is not here: the checksums are not tried"
fi
exit "$failed"
