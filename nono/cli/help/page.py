"""Hold the values of a help page, from which each form of it is printed."""

from __future__ import annotations

from nono.named_tuple import NamedTuple


class Entry(NamedTuple):
    """An option, an operand, or an action of a command."""

    names: tuple[str, ...]  # the flags of an option, else one word
    text: str  # one sentence, without a full stop
    value: str = ""  # what follows an option, such as DIR or NAME[=VALUE]
    default: str = ""
    variable: str = ""  # the environment variable that is read if the option is not given
    values: tuple[str, ...] = ()  # the only possible values
    repeats: bool = False
    splits_commas: bool = False
    is_rare: bool = False  # the short help leaves it out

    @property
    def title(self) -> str:
        """Return the entry as it is typed, such as `-a, --allow DIR`."""
        short = [name for name in self.names if not name.startswith("--")]
        long = [name for name in self.names if name.startswith("--")]
        return " ".join(filter(None, (", ".join((*short, *long)), self.value)))

    @property
    def details(self) -> tuple[str, ...]:
        """Return what else there is to know, each fact in a few words."""
        repeats = "may be repeated, or separated by commas" if self.splits_commas else "may be repeated"
        found = (
            self.default and f"default: {self.default}",
            self.variable and f"env: {self.variable}",
            self.values and f"possible values: {', '.join(self.values)}",
            repeats if self.repeats else "",
        )
        return tuple(each for each in found if each)


class Section(NamedTuple):
    """Entries under a heading."""

    title: str
    entries: tuple[Entry, ...]


class Example(NamedTuple):
    """A command line and its purpose."""

    command: str
    text: str


class Page(NamedTuple):
    """The help of nono, of a command or of an action."""

    words: tuple[str, ...]  # as typed: nono, credential, set
    summary: str  # for lists, without a full stop
    description: str  # sentences
    usage: str
    sections: tuple[Section, ...]
    examples: tuple[Example, ...] = ()
    see_also: tuple[str, ...] = ()  # sentences at the end
