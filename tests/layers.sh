#!/usr/bin/env bash
# No #include points upward, a library is known to its own layers only, so are a layer's insides, and no
# two files share a name.
#
#   layers.sh SOURCE_ROOT
#
# The layers: base < mem < image, weights < compute < model < sampling < pipeline < switch < job < engine < front < service < cli.
# image and weights stand side by side and do not know each other. front sees include/darkroom/ and itself, service
# and cli also front: what the program can do, an embedder can.
# Tests (x_test.c, and x_fixture.h for several of them) may also use what tests/ offers, and any library.
set -euo pipefail

cd "$1"
failed=0
fail() {
    echo "$*" >&2
    failed=1
}

# layer: the layers that it may include, itself among them.
declare -A below=(
    [base]="base"
    [mem]="base mem"
    [image]="base mem image"
    [weights]="base mem weights"
    [compute]="base mem image weights compute"
    [model]="base mem image weights compute model"
    [sampling]="base mem image weights compute model sampling"
    [pipeline]="base mem image weights compute model sampling pipeline"
    [switch]="base mem image weights compute model sampling pipeline switch"
    [job]="base mem image weights compute model sampling pipeline switch job"
    [engine]="base mem image weights compute model sampling pipeline switch job engine"
    [front]="front"
    [service]="front service"
    [cli]="front service cli"
)
# a library's header: the layers that may include it, and single files.
declare -A owners=(
    [dnnl.h]="compute"
    [omp.h]="compute"
    [png.h]="image service"
    [jpeglib.h]="image service"
    [jansson.h]="weights model switch engine front service src/cli/listing.h"
    [utf8proc.h]="model"
    [openssl/evp.h]="base service"
    [openssl/sha.h]="base service"
    [openssl/rand.h]="service"
    [microhttpd.h]="src/service/http_server.c"
    [sqlite3.h]="service"
    [sys/mman.h]="mem src/service/thread_stack.c" # it gives pages back, and takes none
    [histedit.h]="src/cli/line_editor.c"
)

looked_at=0
while IFS=: read -r file line text; do
    layer=${file#src/}
    layer=${layer%%/*}
    looked_at=$((looked_at + 1))
    if [[ -z ${below[$layer]-} ]]; then
        fail "$file: src/$layer is no layer"
        continue
    fi
    header=${text#*[\"<]}
    header=${header%%[\">]*}
    target=${header%%/*}
    of_tests=no
    [[ $file != *_test.c && $file != *_fixture.h ]] || of_tests=yes
    if [[ -n ${owners[$header]-} && $of_tests == no && " ${owners[$header]} " != *" $layer "* &&
        " ${owners[$header]} " != *" $file "* ]]; then
        fail "$file:$line: $header is for ${owners[$header]} only"
    fi
    [[ $text == *'"'* ]] || continue
    if [[ $target == darkroom ]]; then
        continue
    elif [[ $target == "$header" ]]; then
        # No folder: a file of tests/, for a test; or one of the program's own.
        [[ $of_tests == yes && -f tests/$header ]] || [[ $layer == cli && -f src/cli/$header ]] ||
            fail "$file:$line: \"$header\" does not begin with a layer"
    elif [[ -z ${below[$target]-} ]]; then
        fail "$file:$line: \"$header\" does not begin with a layer"
    elif [[ " ${below[$layer]} " != *" $target "* ]]; then
        fail "$file:$line: $layer may not include \"$header\": it knows ${below[$layer]}"
    fi
    # The insides of a layer: of compute/, a plan's, with the addresses in its arena.
    if [[ $header == *_private.h && $target != "$layer" ]]; then
        fail "$file:$line: \"$header\" is for src/$target only"
    fi
done < <(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include' src)

[[ $looked_at -ge 50 ]] || fail "only $looked_at #include lines found: is $1 the source root?"

while IFS= read -r line; do
    fail "a public header may include public headers only: $line"
done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' include | grep -v '"darkroom/' || true)

while IFS= read -r line; do
    fail "the insides of a layer are for its own sources and tests: $line"
done < <(grep -rnE --include='*.[ch]' '^[[:space:]]*#[[:space:]]*include[[:space:]].*_private\.h"' bench tests tools || true)

while IFS= read -r name; do
    fail "two files are called $name: $(find src -name "$name" | tr '\n' ' ')"
done < <(find src -name '*.[ch]' -printf '%f\n' | sort | uniq -d)

echo "$looked_at #include lines looked at"
exit "$failed"
