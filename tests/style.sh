#!/usr/bin/env bash
# The text of the tree: no path of somebody's machine, no trailing blanks, no tabs in C; long files are said.
#
#   style.sh SOURCE_ROOT
#
# Files are those that git knows, or all where this is no git checkout. Binary files, and recorded data below
# tests/golden, tests/corpus and tests/data, are not looked at. A file past the length that docs aim for is a
# remark, not a failure.
set -euo pipefail

cd "$1"
failed=0
fail() {
    echo "$1: $2" >&2
    failed=1
}

# In pieces, so that this file passes its own test.
machine_paths="/wo""rk/|/tmp/w""t|/tmp/ve""nv|/tmp/br""ief"

if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    mapfile -d '' files < <(git ls-files -z --cached --others --exclude-standard)
else
    mapfile -d '' files < <(find . -type d \( -name .git -o -name 'build*' -o -name out \) -prune -o -type f -printf '%P\0')
fi

texts=()
sources=()
for file in "${files[@]}"; do
    case $file in
        tests/golden/* | tests/corpus/* | tests/data/*) continue ;;
    esac
    [[ -s $file ]] || continue
    texts+=("$file")
    [[ $file != *.[ch] ]] || sources+=("$file")
done
[[ ${#texts[@]} -ge 20 && ${#sources[@]} -ge 1 ]] || {
    echo "only ${#texts[@]} files found in $PWD: is it the source root?" >&2
    exit 1
}

# forbid WHY PATTERN FILE...: no line of the files may match. -I passes over binary files.
forbid() {
    local why=$1 pattern=$2 line
    shift 2
    while IFS= read -r line; do
        fail "$line" "$why"
    done < <(grep -InHE -- "$pattern" "$@" | cut -d: -f1,2 || true)
}
forbid "names a path of one machine" "(^|[^[:alnum:]_.])($machine_paths)" "${texts[@]}"
forbid "ends with blanks" '[[:blank:]]+$' "${texts[@]}"
forbid "has a tab" $'\t' "${sources[@]}"
# A look that the sweep over all looks would miss.
looking=()
for file in "${sources[@]}"; do
    [[ $file == *_test.c || $file == *_fixture.h ]] || looking+=("$file")
done
forbid "looks at a cancel flag past cancel_requested (base/cancel.h)" 'atomic_load(_explicit)?\([^)]*cancel\b' "${looking[@]}"

while IFS= read -r file; do
    [[ -z $(tail -c 1 "$file") ]] || fail "$file" "does not end with a line break"
done < <(grep -Il '' "${texts[@]}")

while read -r length file; do
    [[ $file == total || $length -le 500 ]] || echo "remark: $file has $length lines; the aim is 500"
done < <(wc -l "${sources[@]}")

echo "${#texts[@]} files looked at"
exit "$failed"
