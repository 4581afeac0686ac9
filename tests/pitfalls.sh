#!/usr/bin/env bash
# pitfalls.sh SOURCE: every test that docs/PITFALLS.md names ("x_test: case") exists and
# is run. A guard that was renamed or dropped would otherwise go on being promised.
set -euo pipefail
cd "$1"
named=$(grep -oE '[a-z0-9_]+_test: [a-z0-9_]+' docs/PITFALLS.md | tr -d : | sort -u)
if [[ -z $named ]]; then
    echo "docs/PITFALLS.md names no test"
    exit 1
fi
failed=0
while read -r program run; do
    if ! grep -qs "check_run($run)" src/*/"$program".c; then
        echo "docs/PITFALLS.md: there is no case $run in $program.c"
        failed=1
    fi
done <<END
$named
END
echo "$(echo "$named" | wc -l) guards are named"
exit "$failed"
