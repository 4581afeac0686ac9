#!/usr/bin/env bash
# The bash completion offers what the program takes: commands, options, values, files.
#
#   completion_test.sh BUILD_ROOT SOURCE_ROOT
set -euo pipefail

program=$1/darkroom
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# shellcheck source=/dev/null
source "$source/completion/darkroom.bash"
cd "$folder"
mkdir models
touch sd15.safetensors "with space.png" in.png
mkdir paintings
touch paintings/paintings-xl.safetensors
export DARKROOM_MODELS=$folder/paintings XDG_CONFIG_HOME=$folder/none
failed=0

# offers EXPECTED WORD...: the words of the line after `darkroom`; the last is being typed.
offers() {
    local expected=$1 got
    shift
    COMP_WORDS=("$program" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _darkroom
    got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
    expected=$(tr ' ' '\n' <<<"$expected" | sort | tr '\n' ' ')
    if [[ ${got% } != "${expected% }" ]]; then
        echo "darkroom $*: offers '$got', not '$expected'" >&2
        failed=1
    fi
}

offers "generate again encode decode inspect prompt convert vaes models loras embeddings styles packs settings memory shell serve ps stop submit help vocabulary" ""
offers "generate" gen
offers "--help --version" --
offers "inspect" help ins
offers "--seed --steps --sampler --scheduler --s-churn --s-tmin --s-tmax --s-noise --seed-resize --s-min-uncond --strength --style --styles" generate --s
offers "--digest" inspect --d
offers "--drop-cache" shell --dr
offers "" generate --dr
offers "" inspect --samp
offers "euler euler-a" generate --sampler eu
offers "euler euler-a" generate --sampler = eu
offers "euler euler-a heun dpmpp-2m dpmpp-2m-sde unipc ddim lcm dpmpp-sde dpmpp-2m-sde-heun dpmpp-2s-a dpmpp-3m-sde dpm2 dpm2-a lms restart plms deis ddpm tcd" generate --sampler ""
offers "karras kl-optimal" generate -p x --scheduler k
offers "cuda cpu" generate --rng c
offers "auto eps v" generate --prediction ""
offers "models" generate --tokenizer m
offers "sd15.safetensors" generate -m s
offers "paintings paintings-xl" generate -m pa
offers "in.png" encode -m sd15.safetensors in.
offers "none" generate --vae non
offers "none" settings --vae non
offers "--unset-vae --unset-vae-dir" settings --unset-
offers "models" settings --vae-dir m
offers "sd15.safetensors" vaes -m s
offers "" generate --steps ""
offers "in.png" encode --json in.
offers "--quiet --quality" generate --json --qu
exit "$failed"
