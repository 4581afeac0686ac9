#!/usr/bin/env bash
# guards.sh SOURCE: every test that a page of docs/ names exists and is run: "x_test: case" in C, "cli_x: test_case" of
# the program from outside, "service_x: test_case" of the service. A guard that was renamed or dropped would otherwise go on being promised.
set -euo pipefail
cd "$1"
named=$(grep -oHE '\b([a-z0-9_]+_test: [a-zA-Z0-9_]+|(cli|service)_[a-z0-9_]+: test_[a-zA-Z0-9_]+)' docs/*.md | sed 's/: / /' |
    sed 's/:/ /' | sort -u)
if [[ -z $named ]]; then
    echo "docs/ names no test"
    exit 1
fi

# exists PROGRAM CASE
exists() {
    local folder=${1%%_*} name=${1#*_}
    if [[ $2 == test_* && ($folder == cli || $folder == service) ]]; then
        grep -qs "'$name'" "tests/$folder/meson.build" && grep -qs "def $2(" "tests/$folder/${name}_test.py"
    else
        # Without line breaks: the formatter may break any call.
        { cat src/*/"$1.c" tools/"$1.c" 2>/dev/null || true; } | tr -d '[:space:]' |
            grep -E "(check_run|check_run_with_faults|network_run_bf16)\($2\)|check_run_if\([^,;]*,$2," >/dev/null
    fi
}

failed=0
while read -r page program run; do
    if ! exists "$program" "$run"; then
        echo "$page: there is no $program: $run that is run"
        failed=1
    fi
done <<END
$named
END
echo "$(echo "$named" | cut -d' ' -f2- | sort -u | wc -l) guards are named"
exit "$failed"
