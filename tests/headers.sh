#!/usr/bin/env bash
# Every header compiles alone: src/ and tests/ in C, include/darkroom/ also as C++ and in strict C99.
#
#   headers.sh SOURCE_ROOT COMPILER...
#
# A header that needs another one included before it breaks the first file that includes it first. The public
# headers are read by other people's compilers, so those get all warnings; without a C++ compiler that part is
# left out, and said. Each header is included twice, so that its guard is tested too.
set -euo pipefail

cd "$1"
shift
compiler=("$@")
failed=0
looked_at=0

# alone HEADER COMPILER...: what a file that includes nothing but this header gives.
alone() {
    local header=$1
    shift
    looked_at=$((looked_at + 1))
    if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" | "$@" -fsyntax-only - 2>&1; then
        echo "$header does not compile alone: $*" >&2
        failed=1
    fi
}

while IFS= read -r header; do
    alone "${header#include/}" "${compiler[@]}" -x c -std=c99 -Wall -Wextra -Wpedantic -Wstrict-prototypes \
        -Werror -Iinclude
    if command -v g++ >/dev/null; then
        alone "${header#include/}" g++ -x c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -Iinclude
    fi
done < <(find include/darkroom -name '*.h' | sort)
command -v g++ >/dev/null || echo "g++ is not installed: the public headers are not compiled as C++"

while IFS= read -r header; do
    # A harness has functions for the tests to use; alone they are unused. Vector types are for files that are
    # compiled for the processors that have them.
    alone "$header" "${compiler[@]}" -x c -std=c17 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror \
        -Wno-unused -Wno-psabi -Isrc -Iinclude -Itests -I.
done < <(find src tests tools -name '*.h' | sort)

[[ $looked_at -ge 10 ]] || { echo "only $looked_at headers found: is $PWD the source root?" >&2; failed=1; }
echo "$looked_at headers compiled"
exit "$failed"
