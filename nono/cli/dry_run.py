"""End a dry run: print what a run would inject and start, after checking that it can be had."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping

from nono.audit.redact import Redaction, redact_argv
from nono.cli.console import Console
from nono.credentials.run_references import check_references
from nono.errors import ConfigError
from nono.launch.prepare import Prepared, program_of
from nono.launch.proxy.flows import refuse_unfit
from nono.launch.proxy.tls_files import check_tls_files
from nono.policy.services.key_reach import refuse_elsewhere


def conclude(prepared: Prepared, console: Console, environ: Mapping[str, str], redaction: Redaction) -> int:
    """Return the exit code.

    Raises NonoError, as a run would, for a malformed reference, an unusable certificate, a key that would go
    past its gateway, or a missing program.
    """
    check_references(prepared.resolved)
    proxy = prepared.resolved.proxy
    if proxy is not None and proxy.record_flows is not None:
        refuse_unfit(proxy.record_flows)
    for service in prepared.resolved.services:
        check_tls_files(service)
        try:
            refuse_elsewhere(service)
        except ConfigError as error:
            if not service.is_optional:
                raise
            # No key is read here. Without one, the run starts and the variable is left to the command.
            console.warn(f"refused if there is a key '{service.name}': {error} {error.hint}")
    console.lines(_injected(prepared))
    program = program_of(prepared.resolved, prepared.argv[0], environ.get("PATH", os.defpath))
    console.lines(
        [
            f"  program {program}",
            "  dry-run sandbox would be applied with above capabilities",
            f"  $ {shlex.join(redact_argv(prepared.argv, redaction))}",
        ]
    )
    return 0


def _injected(prepared: Prepared) -> Iterator[str]:
    """Describe the credentials and phantoms that the command would hold, without reading any of them."""
    resolved = prepared.resolved
    if resolved.env_credentials:
        variables = ", ".join(variable for _, variable in resolved.env_credentials)
        count = len(resolved.env_credentials)
        yield f"  Would inject {count} credential(s) as environment variables: {variables}"
    phantoms = [(service.name, service.env_vars) for service in resolved.services]
    phantoms += [(route.name, (route.env_var,)) for route in resolved.oauth_routes if route.env_var]
    for name, names in phantoms:
        if names:
            yield f"  Would inject a placeholder of {name} as {', '.join(names)}"
