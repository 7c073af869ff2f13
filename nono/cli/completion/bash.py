"""Write the command tree as a completion script for bash 4.4 or newer, which needs nothing else."""

from __future__ import annotations

from nono.cli.completion.tree import Choice, Kind, Node, Value, filled

_FRAME = r"""# bash completion for nono: eval "$(nono completion bash)"

_nono_profiles() {
    # Names only, and only such as a profile can have: what stands in a directory is never expanded here.
    local file name directory=${XDG_CONFIG_HOME:-$HOME/.config}/nono/profiles
    for file in @PROFILES@ "$directory"/*.json "$directory"/*.jsonc; do
        name=${file##*/} name=${name%.json} name=${name%.jsonc}
        [[ $name =~ ^[A-Za-z0-9-]+$ && $name == "$1"* ]] && COMPREPLY+=("$name")
    done
}

# What options there are at a place, what follows one, and which words may stand there: $1 is the place.
_nono_options() {
    case $1 in
@OPTIONS@
    esac
}

_nono_value() {
    kind= words=
    case "$1 $2" in
@VALUES@
    esac
}

_nono_operand() {
    kind= words=
    case "$1 $2" in
@OPERANDS@
    esac
}

_nono_complete() {
    case $1 in
        directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
        file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
        profile)
            _nono_profiles "$2"
            [[ $2 == */* ]] && { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$2"); } ;;
        word) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2") ;;
    esac
}

_nono() {
    local cur=${COMP_WORDS[COMP_CWORD]} place=nono operand=0 i=1 word kind words left
    COMPREPLY=()
    [[ $cur == = ]] && cur=
    while ((i < COMP_CWORD)); do
        word=${COMP_WORDS[i]}
        _nono_value "$place" "$word"
        if [[ $kind ]]; then
            left=1
            [[ $kind == *,* ]] && left=2
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            if ((i + left >= COMP_CWORD)); then
                _nono_complete "${kind%%,*}" "$cur"
                return
            fi
            ((i += left + 1))
            continue
        fi
        if [[ $word != -* || $word == -- ]]; then
            _nono_operand "$place" "$operand"
            if [[ $kind == command ]]; then
                [[ $word == -- ]] && ((i++))
                _nono_command "$i" "$cur"
                return
            elif [[ $kind == node ]]; then
                place+=" $word" operand=0
            elif [[ $word != -- ]]; then
                ((operand++))
            fi
        fi
        ((i++))
    done
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_nono_options "$place")" -- "$cur")
        return
    fi
    _nono_operand "$place" "$operand"
    case $kind in
        command) _nono_command "$COMP_CWORD" "$cur" ;;
        node) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
        *) _nono_complete "$kind" "$cur" ;;
    esac
}

# The command inside, which begins at word $1, completes its own arguments.
_nono_command() {
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif (($1 == COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$2")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$2")
    fi
}

complete -F _nono nono
"""


def script(root: Node, profiles: tuple[str, ...]) -> str:
    """Return the script. profiles: the names of shipped profiles."""
    nodes = [*root.all()]
    parts = {
        "PROFILES": " ".join(profiles),
        "OPTIONS": "\n".join(f'        "{node.words}") echo "{_flags(node)}" ;;' for node in nodes),
        "VALUES": "\n".join(line for node in nodes for line in _values(node)),
        "OPERANDS": "\n".join(line for node in nodes for line in _operands(node)),
    }
    return filled(_FRAME, parts)


def _flags(node: Node) -> str:
    return " ".join(flag for option in node.options for flag in option.flags)


def _values(node: Node) -> list[str]:
    return [_value_line(node, option) for option in node.options if option.values]


def _value_line(node: Node, option: Choice) -> str:
    patterns = "|".join(f'"{node.words} {flag}"' for flag in option.flags)
    kinds = ",".join(value.kind for value in option.values)
    return f"        {patterns}) kind={kinds}{_words(option.values[0])} ;;"


def _operands(node: Node) -> list[str]:
    if node.nodes:
        names = " ".join(each.path[-1] for each in node.nodes)
        return [f'        "{node.words} 0") kind=node words="{names}" ;;']
    return [
        f'        "{node.words} {position}") kind={value.kind}{_words(value)} ;;'
        for position, value in enumerate(node.operands)
    ]


def _words(value: Value) -> str:
    return f' words="{" ".join(value.words)}"' if value.kind is Kind.WORD else ""
