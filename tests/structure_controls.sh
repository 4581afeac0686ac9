#!/usr/bin/env bash
# The structural tests can fail: each is run on a copy of the tree, where it passes, and with a violation planted.
#
#   structure_controls.sh SOURCE_ROOT COMPILER...
#
# A check that sees nothing passes for ever. So whatever a check forbids is planted here once, in a file called
# planted, and the check must fail and name it.
set -euo pipefail

source=$(cd "$1" && pwd)
shift
compiler=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
planted_count=0

# passes WHAT COMMAND...: on what is clean.
passes() {
    local what=$1
    shift
    if ! "$@" >"$work/output" 2>&1; then
        echo "$what: fails on a clean tree:" >&2
        cat "$work/output" >&2
        failed=1
    fi
}

# fails WHAT COMMAND...: and says what was planted.
fails() {
    local what=$1
    shift
    planted_count=$((planted_count + 1))
    if "$@" >"$work/output" 2>&1; then
        echo "$what: was planted and not found" >&2
        failed=1
    elif ! grep -q planted "$work/output"; then
        echo "$what: fails, but not for what was planted:" >&2
        cat "$work/output" >&2
        failed=1
    fi
}

# planted FILE TEXT CHECK...: a file in the tree, a check that must fail, the file gone.
planted() {
    local file=$work/tree/$1 text=$2
    shift 2
    mkdir -p "$(dirname "$file")"
    printf '%b' "$text" >"$file"
    fails "$(basename "$1"): $text" "$@"
    rm "$file"
}

checks=$source/tests
# Two layers, the public headers and what they need stand for the tree: the checks are the same and take less time.
mkdir -p "$work"/tree/{bench,src/engine,src/model,tests,tools}
cp -r "$source"/{include,script,.clang-format} "$work/tree"
cp -r "$source"/src/{base,mem} "$work/tree/src"
cp "$source"/tests/*.sh "$work/tree/tests"
for header in "$source"/tests/*.h; do
    grep '#include "' "$header" | grep -vqE '"((base|mem|darkroom)/|[^/]*")' || cp "$header" "$work/tree/tests"
done

layers=("$checks/layers.sh" "$work/tree")
passes layers "${layers[@]}"
planted src/base/planted.c '#include "mem/region.h"\n' "${layers[@]}"
planted src/image/planted.c '  #  include "weights/checkpoint.h"\n' "${layers[@]}"
planted src/model/planted.h '#include "job/job.h"\n' "${layers[@]}"
planted src/cli/planted.c '#include "job/job.h"\n' "${layers[@]}"
planted src/cli/planted.c '#include "base/error.h"\n' "${layers[@]}"
planted src/cli/planted.c '#include <jansson.h>\n' "${layers[@]}"
planted src/front/planted.c '#include "job/job.h"\n' "${layers[@]}"
planted src/front/planted.c '#include "base/utf8.h"\n' "${layers[@]}"
planted src/front/planted.h '#include "cli/session.h"\n' "${layers[@]}"
planted src/front/planted.h '#include "planted.h"\n' "${layers[@]}"
planted src/engine/planted.c '#include "front/answer.h"\n' "${layers[@]}"
planted src/service/planted.h '#include "engine/engine.h"\n' "${layers[@]}"
planted src/service/planted.c '#include "cli/session.h"\n' "${layers[@]}"
planted src/service/planted.c '#include <microhttpd.h>\n' "${layers[@]}"
planted src/cli/planted.c '#include <sqlite3.h>\n' "${layers[@]}"
planted src/model/planted.c '#include <dnnl.h>\n' "${layers[@]}"
planted src/weights/planted.c '#include <sys/mman.h>\n' "${layers[@]}"
planted include/darkroom/planted.h '#include "base/error.h"\n' "${layers[@]}"
planted src/planted/planted.c '#include <stdio.h>\n' "${layers[@]}"

headers=("$checks/headers.sh" "$work/tree" "${compiler[@]}")
passes headers "${headers[@]}"
planted src/base/planted.h 'size_t planted(void);\n' "${headers[@]}"
planted src/mem/planted.h 'struct planted { int a; };\n' "${headers[@]}"
if command -v g++ >/dev/null; then
    planted include/darkroom/planted.h '#ifndef P\n#define P\nint planted(int class);\n#endif\n' "${headers[@]}"
fi

style=("$checks/style.sh" "$work/tree")
passes style "${style[@]}"
planted src/base/planted.c '/* see /wo''rk/here */\n' "${style[@]}"
planted script/planted 'cd "/tmp/w''t/x"\n' "${style[@]}"
planted src/base/planted.c 'int a; \n' "${style[@]}"
planted src/base/planted.c '\tint a;\n' "${style[@]}"
planted src/base/planted.c 'if (atomic_load(&a->cancel)) return;\n' "${style[@]}"
planted docs/planted.md 'no end' "${style[@]}"

mkdir -p "$work"/tree/{docs,tests/cli}
echo 'Guarded: error_test: fills_and_returns_the_code, cli_looking: test_checkpoint.' >"$work/tree/docs/clean.md"
cp "$source"/tests/cli/{meson.build,looking_test.py,harness.py} "$work/tree/tests/cli"
guards=("$checks/guards.sh" "$work/tree")
passes guards "${guards[@]}"
planted docs/planted.md 'See error_test: planted.\n' "${guards[@]}"
planted docs/planted.md 'See planted_test: fills_and_returns_the_code.\n' "${guards[@]}"
planted docs/planted.md 'See cli_looking: test_planted.\n' "${guards[@]}"
planted docs/planted.md 'See cli_planted: test_checkpoint.\n' "${guards[@]}"
# A test file that no build runs guards nothing.
planted docs/planted.md 'See cli_harness: test_none.\n' "${guards[@]}"

# Formatting: a tree of one file, so that this does not depend on how the others are.
mkdir -p "$work/small"/{src,include,tests,tools}
cp "$source/.clang-format" "$work/small"
printf 'int add(int a, int b)\n{\n    return a + b;\n}\n' >"$work/small/src/clean.c"
code=0
"$checks/format.sh" "$work/small" >/dev/null 2>&1 || code=$?
if [[ $code -ne 77 ]]; then
    passes format "$checks/format.sh" "$work/small"
    printf 'int add(int a,int b) {\n  return a+b; }\n' >"$work/small/src/planted.c"
    fails format "$checks/format.sh" "$work/small"
    passes "format --fix" "$checks/format.sh" "$work/small" --fix
    passes "what --fix wrote" "$checks/format.sh" "$work/small"
fi

# Libraries of one object each, as symbols.sh expects them in a build folder.
library() {
    printf '%s\n' "$2" | "${compiler[@]}" -w -x c -O0 -fno-builtin -c -o "$work/build/$3.o" -
    rm -f "$work/build/libdarkroom_$1.a"
    ar rcs "$work/build/libdarkroom_$1.a" "$work/build/$3.o"
}
mkdir "$work/build"
for layer in base mem image weights compute model sampling pipeline switch job engine front service cli; do
    library "$layer" "int clean_$layer;" clean
done
library mem 'void *mmap(); void *map(void) { return mmap(); }' mem
library front 'void *json_object(); void *answer(void) { return json_object(); }' front
# libdarkroom itself, of one definition.
whole() {
    printf '%s\n' "$1" | "${compiler[@]}" -w -x c -O0 -fPIC -c -o "$work/build/whole.o" -
    rm -f "$work/build"/libdarkroom.{a,so}
    ar rcs "$work/build/libdarkroom.a" "$work/build/whole.o"
    "${compiler[@]}" -shared -o "$work/build/libdarkroom.so" "$work/build/whole.o"
}
whole 'int clean_whole;'
symbols=("$checks/symbols.sh" "$work/build" without-faults)
passes symbols "${symbols[@]}"
for call in compute:malloc compute:free compute:posix_memalign model:calloc model:realloc model:strdup model:mmap \
    engine:mmap service:mmap base:munmap weights:mprotect cli:mmap cli:json_object; do
    layer=${call%%:*}
    library "$layer" "void *${call#*:}(); void *f(void) { return ${call#*:}(); }" planted
    fails "$call" "${symbols[@]}"
    library "$layer" "int clean_$layer;" clean
done
whole 'void fault_arm(void) {}'
planted_count=$((planted_count + 1))
if "${symbols[@]}" >/dev/null 2>&1; then
    echo "symbols: sees no fault injection in the shipped library and passes" >&2
    failed=1
fi
passes "faults where they belong" "$checks/symbols.sh" "$work/build" with-faults
whole 'int clean_whole;'
library front 'int planted;' planted
if "${symbols[@]}" >/dev/null 2>&1; then
    echo "symbols: sees no JSON in front and passes" >&2
    failed=1
fi
library front 'void *json_object(); void *answer(void) { return json_object(); }' front
library mem 'int planted;' planted
if "${symbols[@]}" >/dev/null 2>&1; then
    echo "symbols: sees no mapping in mem and passes" >&2
    failed=1
fi

echo "$planted_count violations planted"
exit "$failed"
