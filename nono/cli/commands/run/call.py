"""Hold what a person typed, and the console that tells them how it went."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.args.parse import Invocation
from nono.cli.console import Console
from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.cli.args.parse import Given


class Call(NamedTuple):
    """A call of `nono run` or `nono shell`."""

    invocation: Invocation
    console: Console
    environ: Mapping[str, str]
    is_shell: bool  # the command is the person's shell, whatever a profile names; no report follows

    @property
    def given(self) -> Given:
        return self.invocation.given
