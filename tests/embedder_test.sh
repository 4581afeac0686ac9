#!/usr/bin/env bash
# A program outside the tree can use the library, by what is installed alone.
#
#   embedder_test.sh BUILD_ROOT SOURCE_ROOT
#
# Installs into an empty folder, compiles a small program in C (and the headers in C++, where there is a compiler) with
# the flags of darkroom.pc, once with the shared library and once with the static one, and runs it. The shared library
# exports the functions of include/darkroom/ and nothing else.
set -euo pipefail

# The caches of whoever runs this are not the test's.
export DARKROOM_PACKS=off
build=$1
source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
skip() {
    echo "skipped: $*" >&2
    exit 77
}

command -v pkg-config >/dev/null || skip "pkg-config is not installed"
grep -q '"name": "b_sanitize", "value": "none"' "$build/meson-info/intro-buildoptions.json" 2>/dev/null \
    || python3 - "$build" <<'PYTHON' || skip "a sanitized library needs a sanitized program"
import json
import sys
options = {option["name"]: option["value"] for option in json.load(open(sys.argv[1] + "/meson-info/intro-buildoptions.json"))}
sys.exit(options["b_sanitize"] != "none")
PYTHON
compiler=$(command -v cc || command -v gcc) || skip "there is no C compiler by the name of cc"

DESTDIR=$folder meson install -C "$build" --no-rebuild --quiet >/dev/null
pc=$(find "$folder" -name darkroom.pc)
[[ -n $pc ]] || { echo "darkroom.pc was not installed" >&2; exit 1; }
installed=$folder$(sed -n 's/^prefix=//p' "$pc")
flags() { PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --define-variable=prefix="$installed" "$@" darkroom; }

for file in bin/darkroom include/darkroom/darkroom.h include/darkroom/error.h share/man/man1/darkroom.1 \
    share/bash-completion/completions/darkroom; do
    [[ -s $installed/$file ]] || { echo "$file was not installed" >&2; exit 1; }
done

cat >"$folder/embedder.c" <<'PROGRAM'
#include <darkroom/darkroom.h>

#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    struct dr_error err;
    struct dr_engine *engine = NULL;
    struct dr_engine_options options = dr_engine_options_default();
    options.thread_count = 1;
    options.settings_path = "";
    if (dr_engine_open(&engine, &options, &err) != DR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (dr_engine_load(engine, "missing.safetensors", DR_LOAD_LAZY, NULL, &err) != DR_NOT_FOUND)
        return 2;
    if (count > 1 && dr_engine_load(engine, words[1], DR_LOAD_EAGER, NULL, &err) != DR_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 3;
    }
    struct dr_memory memory;
    if (dr_engine_memory(engine, &memory, &err) != DR_OK || !memory.regions_agree) return 4;
    printf("%s %zu\n", dr_version(), memory.region_count);
    dr_memory_free(&memory);
    dr_engine_close(&engine);
    return engine != NULL;
}
PROGRAM

ln -s "$build/tests/checkpoints/family-sd15-size-tiny-seed-1.safetensors" "$folder/tiny.safetensors"
expect() {
    local got
    got=$(LD_LIBRARY_PATH=$(flags --variable=libdir) "$1" "$folder/tiny.safetensors")
    [[ $got =~ ^[0-9]+\.[0-9]+\.[0-9]+\ 3$ ]] || { echo "$1 says '$got'" >&2; exit 1; }
}

# pkg-config gives words, so they are not quoted.
# shellcheck disable=SC2046
"$compiler" -Wall -Wextra -Werror -std=c11 "$folder/embedder.c" -o "$folder/shared" $(flags --cflags --libs)
# Into a variable: grep -q would end before ldd has written all, and that is a failure of the pipe.
libraries=$(ldd "$folder/shared")
[[ $libraries == *libdarkroom* ]] || { echo "the program is not linked with the shared library" >&2; exit 1; }
expect "$folder/shared"

# shellcheck disable=SC2046
"$compiler" -std=c11 "$folder/embedder.c" -o "$folder/static" $(flags --cflags) \
    -L"$(flags --variable=libdir)" -Wl,-Bstatic -ldarkroom -Wl,-Bdynamic $(flags --static --libs | sed 's/-ldarkroom//')
libraries=$(ldd "$folder/static")
[[ $libraries != *libdarkroom* ]] || { echo "the program is not linked statically" >&2; exit 1; }
expect "$folder/static"

for header in darkroom error; do
    echo "#include <darkroom/$header.h>" >"$folder/alone.c"
    # shellcheck disable=SC2046
    "$compiler" -Wall -Wextra -Wpedantic -Werror -std=c11 $(flags --cflags) -fsyntax-only "$folder/alone.c"
    if command -v c++ >/dev/null; then
        # shellcheck disable=SC2046
        c++ -Wall -Wextra -Werror $(flags --cflags) -fsyntax-only -x c++ "$folder/alone.c"
    fi
done

exported=$(nm --dynamic --defined-only --format=posix "$(flags --variable=libdir)/libdarkroom.so" | cut -d' ' -f1 | sort)
declared=$(grep -ohE '\bdr_[a-z_0-9]+\(' "$source"/include/darkroom/*.h | tr -d '(' | sort -u)
if [[ $exported != "$(grep -xF -f <(echo "$exported") <<<"$declared")" ]]; then
    echo "exported but not declared: $(comm -23 <(echo "$exported") <(echo "$declared") | tr '\n' ' ')" >&2
    exit 1
fi
while IFS= read -r name; do
    grep -qx "$name" <<<"$exported" || { echo "$name is declared and not exported" >&2; exit 1; }
done < <(grep -ohE '^DR_API [^(]*\b(dr_[a-z_0-9]+)\(' "$source"/include/darkroom/*.h | grep -oE 'dr_[a-z_0-9]+\($' | tr -d '(' | sort -u)
echo "$(wc -l <<<"$exported") functions are exported"
