"""Describe the token formats of known providers."""

from __future__ import annotations

from nono.named_tuple import NamedTuple

BASE62 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_URL_SAFE = BASE62 + "_-"


class TokenShape(NamedTuple):
    """A token is the prefix, then random_chars characters of the alphabet, then the suffix."""

    prefix: str
    random_chars: int
    alphabet: str = _URL_SAFE
    suffix: str = ""


_GOOGLE = TokenShape("AIza", 35)

# Observed in the providers' own consoles and in the rules of public secret scanners. Checksums (the last six
# characters of a GitHub token) are random: no client checks them, and a scanner that does correctly reports
# no token for a phantom.
SHAPES: dict[str, TokenShape] = {
    "openai": TokenShape("sk-proj-", 156),
    "anthropic": TokenShape("sk-ant-api03-", 93, suffix="AA"),
    "claude-token": TokenShape("sk-ant-oat01-", 93, suffix="AA"),
    "github": TokenShape("ghp_", 36, BASE62),
    "gitlab": TokenShape("glpat-", 20),
    "gemini": _GOOGLE,
    "google-ai": _GOOGLE,
    "openrouter": TokenShape("sk-or-v1-", 64, "0123456789abcdef"),
    "groq": TokenShape("gsk_", 52, BASE62),
    "xai": TokenShape("xai-", 80, BASE62),
    "perplexity": TokenShape("pplx-", 48, BASE62),
}

GENERIC = TokenShape("nono_", 43, BASE62)

_KEY_PREFIXES = (
    "sk-", "sk_", "ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "AIza", "AKIA", "xox", "hf_",
)  # fmt: skip
_LONG_PREFIXES = ("gsk_", "xai-", "pplx-")  # names may begin so too, such as xai-of-the-team


def looks_like_key(text: str) -> bool:
    """Return True if `text` is more likely a key than the name of one."""
    prefixes = _KEY_PREFIXES if len(text) < 40 else (*_KEY_PREFIXES, *_LONG_PREFIXES)
    return len(text) >= 16 and text.startswith(prefixes)
