"""Define the errors that a person sees: what happened, and what to do next."""


class NonoError(Exception):
    """Ends the command with `nono: <message>` on stderr, an optional `hint: ...` line and exit_code."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def reason_of(error: Exception) -> str:
    """Return the reason without what Python puts around it: for an OSError its strerror, if it has one."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def in_words(error: Exception) -> str:
    """Return the reason, after the file that the error names if it names one; without the errno's number."""
    named = error.filename if isinstance(error, OSError) else None
    return reason_of(error) if named is None else f"{named}: {reason_of(error)}"


class UsageError(NonoError):
    """The command line itself is wrong; nothing beyond it was examined."""

    exit_code = 2


class ConfigError(NonoError):
    """A profile, an option's value or an environment variable is invalid."""


def invalid(origin: str, problem: str, *, hint: str | None = None) -> ConfigError | UsageError:
    """Return the error for a malformed value: nono ends with 2 if it is an option's, else with 1.

    origin: The option, or the field of a file; "" where the caller names it.
    """
    kind = UsageError if origin.startswith("--") else ConfigError
    return kind(f"{origin}: {problem}." if origin else f"{problem}.", hint=hint)


class ProfileError(NonoError):
    """A profile was not found, could not be read, or is invalid."""


class SandboxError(NonoError):
    """The kernel cannot enforce the policy, or refused it. Nothing was started."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"Sandbox initialization failed: {message}", hint=hint)


class CredentialError(NonoError):
    """A credential could not be read or stored."""


class LaunchError(NonoError):
    """The command could not be started in the sandbox (126), or executed (127)."""

    def __init__(self, message: str, *, exit_code: int = 126, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
