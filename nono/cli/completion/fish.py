"""Write the command tree as completions for fish 3.1 or newer."""

from __future__ import annotations

from collections.abc import Iterator

from nono.cli.completion.tree import Choice, Kind, Node, Value, filled

_FRAME = r"""# fish completion for nono: nono completion fish > ~/.config/fish/completions/nono.fish

function __nono_profiles
    set -l directory $HOME/.config
    set -q XDG_CONFIG_HOME; and set directory $XDG_CONFIG_HOME
    printf '%s\n' @PROFILES@
    for file in $directory/nono/profiles/*.json $directory/nono/profiles/*.jsonc
        string match -rq '^(?<name>[A-Za-z0-9-]+)\.jsonc?$' (path basename -- $file); and echo $name
    end
end

# How many words follow option $argv[2] at place $argv[1].
function __nono_values
    switch "$argv"
@VALUES@
    end
    echo 0
end

# Where the cursor is: a place, then how many operands there are already; `command N` behind the Nth word,
# which is the command inside.
function __nono_place
    set -l tokens (commandline -opc)
    set -l place nono
    set -l operands 0
    set -l i 2
    while test $i -le (count $tokens)
        set -l token $tokens[$i]
        set -l follow (__nono_values $place $token)
        if test $follow -gt 0
            set i (math $i + $follow)
        else if not string match -q -- '-*' $token; or test $token = --
            switch $place
                case @WITH_NODES@
                    set place "$place $token"
                case @WITH_COMMAND@
                    test $token = --; and set i (math $i + 1)
                    echo command $i
                    return
                case '*'
                    test $token = --; or set operands (math $operands + 1)
            end
        end
        set i (math $i + 1)
    end
    echo "$place $operands"
end

function __nono_directories
    __fish_complete_directories (string replace -r -- '^--[^=]*=' '' (commandline -ct))
end

function __nono_at
    set -l place (__nono_place)
    if set -q argv[2]
        test "$place" = "$argv"
    else
        string match -rq -- '^'(string escape --style=regex -- $argv[1])' [0-9]+$' $place
    end
end

# The command inside completes its own arguments.
function __nono_inside
    set -l place (string split ' ' -- (__nono_place))
    set -l tokens (commandline -opc)
    set -l words
    test $place[2] -le (count $tokens); and set words (string escape -- $tokens[$place[2]..-1])
    complete -C (string join ' ' -- $words (commandline -ct))
end

complete -c nono -f
complete -c nono -n 'string match -q "command *" -- (__nono_place)' -a '(__nono_inside)'
@LINES@
"""


def script(root: Node, profiles: tuple[str, ...]) -> str:
    """Return the script. profiles: the names of shipped profiles."""
    nodes = [*root.all()]
    with_command = [node for node in nodes if any(value.kind is Kind.COMMAND for value in node.operands)]
    parts = {
        "PROFILES": " ".join(profiles),
        "VALUES": "\n".join(line for node in nodes for line in _values(node)),
        "WITH_NODES": " ".join(f"'{node.words}'" for node in nodes if node.nodes),
        "WITH_COMMAND": " ".join(f"'{node.words}'" for node in with_command),
        "LINES": "\n".join(line for node in nodes for line in _lines(node)),
    }
    return filled(_FRAME, parts)


def _values(node: Node) -> Iterator[str]:
    for option in node.options:
        if option.values:
            flags = " ".join(f"'{node.words} {flag}'" for flag in option.flags)
            yield f"        case {flags}"
            yield f"            echo {len(option.values)}; return"


def _lines(node: Node) -> Iterator[str]:
    place = f"-n '__nono_at \"{node.words}\"'"
    for option in node.options:
        yield f"complete -c nono {place} {_flags(option)} {_behind(option)}-d {_quoted(option.help)}"
    for each in node.nodes:
        yield f"complete -c nono {place} -a {each.path[-1]} -d {_quoted(each.help)}"
    for position, value in enumerate(node.operands):
        at = f"-n '__nono_at \"{node.words}\" {position}'"
        if value.kind is Kind.COMMAND:
            yield f"complete -c nono {at} -a '(__fish_complete_command)'"
        elif filled := _filled(value):
            yield f"complete -c nono {at} {filled}"


def _flags(option: Choice) -> str:
    return " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)


def _behind(option: Choice) -> str:
    if not option.values:
        return ""
    return f"-r {_filled(option.values[0])} "


def _filled(value: Value) -> str:
    match value.kind:
        case Kind.DIRECTORY:
            return "-f -a '(__nono_directories)'"
        case Kind.FILE:
            return "-F"
        case Kind.PROFILE:
            return "-F -a '(__nono_profiles)'"
        case Kind.WORD:
            return f"-f -a {_quoted(' '.join(value.words))}"
        case Kind.ANYTHING | Kind.COMMAND:
            return "-f"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
