"""Warn of profile fields without effect, or not built yet, so that nobody relies on them."""

from nono.policy.schema.profile import Profile


def without_effect(profile: Profile) -> tuple[str, ...]:
    """Return a sentence for each such field that is set."""
    said = (
        (bool(profile.hooks), "hooks: in-profile hooks were removed; nono runs none of them."),
        (profile.open_urls is not None, "open_urls: not available yet, the command opens no pages."),
        *(
            (
                bool(custom.endpoint_rules) and custom.endpoint_policy is not None,
                f"network.custom_credentials.{name}.endpoint_rules: without effect, because endpoint_policy "
                "decides alone; put the rules into its allow list.",
            )
            for name, custom in profile.network.custom_credentials.items()
        ),
    )
    return tuple(f"{profile.label}, {sentence}" for is_said, sentence in said if is_said)
