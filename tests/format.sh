#!/usr/bin/env bash
# Every C file is as clang-format 14 would write it, by .clang-format.
#
#   format.sh SOURCE_ROOT [--fix]
#
# --fix writes the files instead. Another edition of clang-format breaks lines at other places, so without this one
# the test is skipped (exit code 77). Between "clang-format off" and "on" comments a table may have its own form.
set -euo pipefail

cd "$1"
mode=(--dry-run --Werror)
[[ ${2-} != --fix ]] || mode=(-i)

program=
for name in clang-format-14 clang-format; do
    if [[ $("$name" --version 2>/dev/null) == *' version 14.'* ]]; then
        program=$name
        break
    fi
done
if [[ -z $program ]]; then
    echo "clang-format 14 is not installed: skipped"
    exit 77
fi

mapfile -d '' files < <(find src include tests tools -name '*.[ch]' -print0 | sort -z)
[[ ${#files[@]} -gt 0 ]] || { echo "no C files in $PWD" >&2; exit 1; }

# One run over all files; its complaints begin with the file's name.
different=0
while IFS= read -r file; do
    echo "$file: not as clang-format writes it (tests/format.sh . --fix does)" >&2
    different=$((different + 1))
done < <("$program" --style=file "${mode[@]}" "${files[@]}" 2>&1 | sed -nE 's/^([^:]+):[0-9]+:.*/\1/p' | sort -u)
echo "${#files[@]} files looked at, $different differ"
[[ $different -eq 0 ]]
