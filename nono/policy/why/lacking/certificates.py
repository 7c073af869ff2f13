"""Tell whether a failed command was not granted the certificates that its environment names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.environment.authority import ADDED_CERTIFICATES, CERTIFICATE_BUNDLES
from nono.policy.path_expansion import PathContext
from nono.policy.why.commands.words import Started
from nono.policy.why.usual_table import Row

_DIRECTORY = "SSL_CERT_DIR"


def named_certificates(
    programs: Sequence[Started], rules: EffectivePolicy, path_context: PathContext
) -> Iterator[tuple[Row, str]]:
    """Yield the files of certificates that variables of the person name, such as those of a company's proxy.

    Where a run looks into a host, the command has other files in these variables: with these certificates,
    but for those of a directory.
    """
    if rules.routes or rules.scopes:
        return
    for name in (*CERTIFICATE_BUNDLES, *ADDED_CERTIFICATES, _DIRECTORY):
        path = path_context.environ.get(name, "")
        if path.startswith("/"):
            yield Row(path, Access.READ, f"certificates, by {name}"), programs[-1].program
