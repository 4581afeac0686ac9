# bash completion for darkroom: installed as share/bash-completion/completions/darkroom, or sourced.
#
# Commands, options and values are asked of the program itself (darkroom --complete), so this file
# never lags behind it. FILE and DIR in its answer stand for what the folders hold.

_darkroom_words() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        case $word in
            FILE) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "$2") ;;
            DIR) while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -d -- "$2") ;;
            "$2"*) COMPREPLY+=("$word") ;;
        esac
    done < <("$1" --complete "${@:3}" 2>/dev/null)
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
    compopt -o filenames 2>/dev/null
    if [[ $COMP_CWORD -eq 1 ]]; then
        compopt +o filenames 2>/dev/null
        _darkroom_words "$program" "$current"
        [[ $current == -* ]] && COMPREPLY=($(compgen -W '--help --version' -- "$current"))
        return
    fi
    if [[ $command == help ]]; then
        _darkroom_words "$program" "$current"
        return
    fi
    if [[ $previous == -* ]]; then
        _darkroom_words "$program" "$current" "$command" "$previous"
        [[ ${#COMPREPLY[@]} -gt 0 ]] && return
    fi
    if [[ $current == -* ]]; then
        _darkroom_words "$program" "$current" "$command"
    else
        while IFS= read -r current; do COMPREPLY+=("$current"); done < <(compgen -f -- "$current")
    fi
}

complete -F _darkroom darkroom
