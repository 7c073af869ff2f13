"""Write the command tree as a completion function for zsh."""

from __future__ import annotations

from collections.abc import Iterator

from nono.cli.completion.tree import Choice, Kind, Node, Value

_FRAME = r"""#compdef nono
# zsh completion for nono: nono completion zsh > "${fpath[1]}/_nono"

_nono_profiles() {
    local directory=${XDG_CONFIG_HOME:-$HOME/.config}/nono/profiles
    local -a names
    setopt local_options extended_glob
    names=(@PROFILES@ $directory/*.json(N:t:r) $directory/*.jsonc(N:t:r))
    # Only such as a profile can have: what stands in a directory is evaluated below.
    names=(${(M)names:#[A-Za-z0-9-]##})
    _alternative "profiles:profile:($names)" 'files:profile:_files'
}

@FUNCTIONS@

if [ "$funcstack[1]" = _nono ]; then
    _nono "$@"
else
    compdef _nono nono
fi
"""


def script(root: Node, profiles: tuple[str, ...]) -> str:
    """Return the script. profiles: the names of shipped profiles."""
    functions = "\n\n".join(_function(node) for node in root.all())
    return _FRAME.replace("@PROFILES@", " ".join(profiles)).replace("@FUNCTIONS@", functions)


def _name(node: Node) -> str:
    return "_".join(("_nono", *(part.replace("-", "_") for part in node.path)))


def _function(node: Node) -> str:
    lines = [f"{_name(node)}() {{"]
    specs = [*(spec for option in node.options for spec in _option(option)), *_operands(node)]
    ends = "-A '-*' " if node.nodes or any(value.kind is Kind.COMMAND for value in node.operands) else ""
    if node.nodes:
        lines += ["    local context state state_descr line", "    typeset -A opt_args"]
    body = " \\\n        ".join(specs)
    lines.append(f"    _arguments {'-C ' if node.nodes else ''}-S {ends}: \\\n        {body}")
    if node.nodes:
        lines += _dispatch(node)
    return "\n".join([*lines, "}"])


def _dispatch(node: Node) -> Iterator[str]:
    yield "    case $state in"
    yield "        node)"
    yield "            local -a nodes=("
    yield from (f"                {_quoted(f'{each.path[-1]}:{each.help}')}" for each in node.nodes)
    yield "            )"
    yield "            _describe -t commands command nodes ;;"
    yield "        rest)"
    yield "            case $words[1] in"
    yield from (f"                {each.path[-1]}) {_name(each)} ;;" for each in node.nodes)
    yield "            esac ;;"
    yield "    esac"


def _option(option: Choice) -> Iterator[str]:
    for flag in option.flags:
        others = "*" if option.repeats else f"({' '.join(option.flags)})"
        sign = "=" if option.values and flag.startswith("--") else ""
        values = "".join(f":{_title(value)}:{_action(value)}" for value in option.values)
        yield _quoted(f"{others}{flag}{sign}[{_escaped(option.help)}]{values}")


def _operands(node: Node) -> Iterator[str]:
    if node.nodes:
        yield "'1: :->node'"
        yield "'*:: :->rest'"
    for position, value in enumerate(node.operands, 1):
        if value.kind is Kind.COMMAND:
            yield f"'(-){position}:command:_command_names -e'"
            yield "'*::arguments:_normal'"
        else:
            yield _quoted(f"{position}:{_title(value)}:{_action(value)}")


def _title(value: Value) -> str:
    return value.name.lower().replace(":", " ")


def _action(value: Value) -> str:
    match value.kind:
        case Kind.DIRECTORY:
            return "_files -/"
        case Kind.FILE:
            return "_files"
        case Kind.PROFILE:
            return "_nono_profiles"
        case Kind.WORD:
            return f"({' '.join(value.words)})"
        case Kind.ANYTHING | Kind.COMMAND:
            return " "


def _escaped(text: str) -> str:
    """Escape text for the brackets of an _arguments specification."""
    return "".join(f"\\{character}" if character in "[]:\\" else character for character in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
