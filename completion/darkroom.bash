# bash completion for darkroom: installed as share/bash-completion/completions/darkroom, or sourced.
#
# Commands, options and values are asked of the program itself (darkroom --complete), so this file
# never lags behind it. FILE and DIR in its answer stand for what the folders hold, VALUE for what
# only the user knows.

# Fails where the program offers nothing at all: then other words may follow.
_darkroom_words() {
    local word offered=1
    COMPREPLY=()
    while IFS= read -r word; do
        offered=0
        case $word in
            VALUE) ;;
            FILE) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$2") ;;
            DIR) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$2") ;;
            "$2"*) COMPREPLY+=("$word") ;;
        esac
    done < <("$1" --complete "${@:3}" 2>/dev/null)
    return "$offered"
}

_darkroom() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}
    local previous=${COMP_WORDS[COMP_CWORD - 1]}
    program=${program/#\~/$HOME}
    # Bash takes = for a word of its own: --sampler=eu is `--sampler`, `=`, `eu`.
    if [[ $current == '=' ]]; then
        current=
    elif [[ $previous == '=' && $COMP_CWORD -ge 3 ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    compopt -o filenames 2>/dev/null || true
    if [[ $COMP_CWORD -eq 1 ]]; then
        compopt +o filenames 2>/dev/null || true
        _darkroom_words "$program" "$current" || true
        if [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W '--help --version' -- "$current")
        fi
        return 0
    fi
    if [[ $command == help ]]; then
        _darkroom_words "$program" "$current" || true
        return 0
    fi
    if [[ $previous == -* ]]; then
        _darkroom_words "$program" "$current" "$command" "$previous" && return 0
    fi
    if [[ $current == -* ]]; then
        _darkroom_words "$program" "$current" "$command" || true
    else
        while IFS= read -r current; do COMPREPLY+=("$current"); done < <(compgen -f -- "$current")
    fi
}

complete -F _darkroom darkroom
