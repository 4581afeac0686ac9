#!/usr/bin/env bash
# Who allocates: compute and model call neither malloc nor mmap, and mem alone maps memory. Who makes JSON: in cli only
# listing, summary, forecast_text and packs_text call the JSON library, to read answers.
#
#   symbols.sh BUILD_ROOT with-faults|without-faults
#
# And the build that is shipped has no fault injection: no symbol of base/fault.h in libdarkroom. Nothing but a call of
# those functions arms a fault, so no environment can.
#
# What a job needs is planned and reserved when it is admitted. An operator or a network that could allocate would break
# that quietly; so the linker's own view of the objects is asked. Test programs are not looked at.
set -euo pipefail

cd "$1"
faults=$2
failed=0
looked_at=0

# undefined_symbols LIBRARY: lines `OBJECT SYMBOL`, without what other objects of the layers define.
undefined_symbols() {
    nm --undefined-only --print-file-name --format=posix "$1" | sed -E 's/^[^[]*\[([^]]*)\]: ([^ ]+) .*/\1 \2/'
}

# forbid PATTERN WHY LAYER...: in each layer's library and in those of its variants for other processors.
forbid() {
    local pattern=$1 why=$2 layer library found
    shift 2
    for layer in "$@"; do
        for library in "libdarkroom_$layer".a $(compgen -G "src/$layer/*.a"); do
            if [[ ! -f $library ]]; then
                echo "there is no $library in $PWD" >&2
                failed=1
                continue
            fi
            looked_at=$((looked_at + 1))
            found=$(undefined_symbols "$library" | grep -E " ($pattern)(@.*)?$" || true)
            if [[ -n $found ]]; then
                printf '%s: %s:\n%s\n' "$library" "$why" "$found" >&2
                failed=1
            fi
        done
    done
}

allocating='malloc|calloc|realloc|reallocarray|free|aligned_alloc|posix_memalign|memalign|strn?dup|v?asprintf'
mapping='mmap|mmap64|munmap|mremap|mprotect|brk|sbrk|shmat|shm_open|memfd_create'

forbid "$allocating" "an operator or a network allocates (base/pool.h for records, mem/region.h for data)" compute model
forbid "$mapping" "maps memory, which only mem may" base image weights compute model sampling pipeline switch job engine front service cli

found=$(undefined_symbols libdarkroom_cli.a | grep -E ' json_' | grep -vE 'src_cli_(listing|summary|forecast_text|packs_text)\.c\.o ' || true)
if [[ -n $found ]]; then
    printf 'libdarkroom_cli.a: calls the JSON library, which only src/cli/listing.c, summary.c, forecast_text.c and packs_text.c may (src/front makes answers):\n%s\n' "$found" >&2
    failed=1
fi

# The check must be able to see: mem does map.
if [[ $(undefined_symbols libdarkroom_mem.a) != *' mmap'* ]]; then
    echo "mem does not seem to map memory: this check sees nothing" >&2
    failed=1
fi
if [[ $(undefined_symbols libdarkroom_front.a) != *' json_'* ]]; then
    echo "front does not seem to make JSON: this check sees nothing" >&2
    failed=1
fi
for library in libdarkroom.a libdarkroom.so; do
    symbols=$(nm --defined-only --format=posix "$library" | grep -cE '^fault_' || true)
    case $faults in
        without-faults)
            [[ $symbols -eq 0 ]] || { echo "$library: fault injection is compiled in" >&2; failed=1; }
            ;;
        with-faults) # the check must be able to see
            [[ $symbols -gt 0 ]] || { echo "$library: no fault injection: this check sees nothing" >&2; failed=1; }
            ;;
    esac
done
echo "$looked_at libraries looked at"
exit "$failed"
