#!/usr/bin/env bash
# Every shell script of the tree parses, sets -euo pipefail, can be executed, says what it is on its
# second line, and passes shellcheck where that is installed. Every Python script compiles.
#
#   scripts.sh SOURCE_ROOT
set -euo pipefail

cd "$1"
failed=0
fail() {
    echo "$1: $2" >&2
    failed=1
}

scripts=()
programs=()
while IFS= read -r -d '' file; do
    read -r first <"$file" || true
    case $first in
        '#!'*bash) scripts+=("$file") ;;
        '#!'*python3) programs+=("$file") ;;
    esac
done < <(find . -type d \( -name .git -o -name 'build*' -o -name out -o -name .venv \) -prune -o \
    -type f -perm /111 -size -256k -print0 -o -type f -name '*.sh' -print0 -o -type f -name '*.py' -print0)

# The tree has at least the four scripts that the README names.
[[ ${#scripts[@]} -ge 4 ]] || fail . "found only ${#scripts[@]} shell scripts"

for file in "${scripts[@]}"; do
    bash -n "$file" || fail "$file" "does not parse"
    [[ -x $file ]] || fail "$file" "is not executable (chmod +x)"
    grep -q '^set -euo pipefail$' "$file" || fail "$file" "does not say set -euo pipefail"
    [[ $(sed -n 2p "$file") == '# '* ]] || fail "$file" "does not say on its second line what it is"
done
for file in "${programs[@]}"; do
    python3 - "$file" <<'PYTHON' || fail "$file" "does not compile"
import sys
compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")
PYTHON
done
if command -v shellcheck >/dev/null; then
    shellcheck "${scripts[@]}" || fail shellcheck "has findings (above)"
else
    echo "shellcheck is not installed: left out"
fi
echo "${#scripts[@]} shell scripts and ${#programs[@]} Python programs looked at"
exit "$failed"
