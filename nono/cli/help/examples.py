"""Hold examples of each command, and where to read on."""

from __future__ import annotations

from collections.abc import Mapping

from nono.cli.help.page import Example

EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "nono": (
        Example(
            "nono run --allow . -- make test",
            "Build: write this directory, read the system, not your files or keys",
        ),
        Example(
            "nono run --profile claude-code --allow-cwd -- claude", "Run an agent with its shipped profile"
        ),
        Example("nono credential set openai", "Store a key, then let an agent use it without seeing it"),
        Example(
            "nono run --allow . --network-profile developer --credential openai -- my-agent",
            "The agent gets a placeholder; the key goes to api.openai.com alone",
        ),
    ),
    "nono run": (
        Example(
            "nono run --allow . -- make test", "Write this directory, read the system, reach the network"
        ),
        Example("nono run --allow-cwd --block-net -- ./untrusted", "Read this directory, and no network"),
        Example("nono run --profile claude-code --allow-cwd -- claude", "Use a shipped profile"),
        Example(
            "nono run --allow . --allow-domain api.github.com --credential github -- ./release.sh",
            "Reach one host, with a key that the command never sees",
        ),
        Example("nono run --detached --name web --allow . -- npm start", "Run in the background"),
        Example("nono run --explain --allow . -- make test", "Find out which files were refused"),
    ),
    "nono shell": (
        Example("nono shell --allow .", "Try commands by hand in the sandbox"),
        Example(
            "nono shell --profile node-dev --allow-cwd --shell /bin/bash", "With a profile and another shell"
        ),
    ),
    "nono learn": (
        Example("nono learn -o build -- make", "Watch a build, and write the profile build.json"),
        Example(
            "nono learn -p coding-agent -o my-agent -- my-agent",
            "Extend a shipped profile by what the agent uses",
        ),
    ),
    "nono wrap": (
        Example(
            "nono wrap --read . -- grep -r TODO .", "The sandbox alone: no supervisor, no proxy, no session"
        ),
    ),
    "nono why": (
        Example("nono why --path ~/.ssh/id_ed25519", "May a plain run read this file?"),
        Example(
            "nono why --host api.example.com --network-profile developer",
            "May a run with these options reach this host?",
        ),
        Example("nono why --self --path /etc/hosts --op write", "Inside a run: may this run do so?"),
        Example("nono why --env NPM_TOKEN", "Is this variable passed on?"),
    ),
    "nono ps": (
        Example("nono ps --all", "List the sessions that have ended, too"),
        Example("nono ps --all --json", "For a program"),
    ),
    "nono logs": (
        Example("nono logs latest", "What did the latest session do?"),
        Example("nono logs -f web", "Follow the session named web"),
    ),
    "nono inspect": (Example("nono inspect latest", "Why did it end, and which rules did it have?"),),
    "nono attach": (
        Example("nono attach web", "Show the terminal of the session named web; Ctrl-] d leaves it"),
    ),
    "nono stop": (Example("nono stop web", "End the session named web"),),
    "nono prune": (
        Example("nono prune --dry-run", "Show what would be removed"),
        Example(
            "nono prune --older-than 7 --logs", "Remove sessions of more than a week ago, with their logs"
        ),
    ),
    "nono approvals": (
        Example("nono approvals", "List what waits for an answer"),
        Example("nono approvals answer", "Answer one question after another"),
    ),
    "nono allow": (
        Example(
            "nono allow api.example.com --for 30m", "Let the running session reach a host for half an hour"
        ),
        Example("nono allow 'github:POST:/repos/*/*/issues' --session web", "Allow one kind of request"),
        Example("nono allow 5432", "Let it connect to a service of this machine"),
    ),
    "nono deny": (Example("nono deny '*.example.com' --all", "Cut off a host from all sessions"),),
    "nono top": (Example("nono top --web", "Show the sessions in a browser"),),
    "nono rollback": (
        Example("nono rollback show latest --diff", "What did the latest run with --rollback change?"),
        Example("nono rollback restore latest", "Take it back"),
    ),
    "nono report": (
        Example("nono report latest", "What did the latest session do?"),
        Example("nono report --last 7d", "What did a week do and cost?"),
    ),
    "nono credential": (
        Example("nono credential set openai", "Store a key; its value is asked for"),
        Example("nono credential test openai", "Check that it can be read"),
    ),
    "nono credential set": (
        Example("nono credential set openai", "Type the value"),
        Example("pass show openai | nono credential set openai", "Pipe it in"),
    ),
    "nono credential import": (
        Example("nono credential import claude-code", "Use your Claude login inside runs"),
    ),
    "nono profile": (
        Example("nono profile list", "Which profiles are there?"),
        Example("nono profile show node-dev", "What does one grant?"),
        Example("nono profile init web --extends node-dev", "Begin a profile"),
        Example("nono profile validate web", "Check it"),
    ),
    "nono profile hosts": (
        Example("nono profile hosts developer", "Which hosts does a network profile allow?"),
    ),
    "nono completion": (
        Example('eval "$(nono completion bash)"', "For bash, in ~/.bashrc"),
        Example("nono completion zsh > ~/.zfunc/_nono", "For zsh, in a directory of $fpath"),
        Example("nono completion fish > ~/.config/fish/completions/nono.fish", "For fish"),
    ),
    "nono proxy": (
        Example("nono proxy --credential openai --port 8080", "Serve programs outside a sandbox"),
    ),
    "nono doctor": (
        Example("nono doctor", "What can be enforced on this machine?"),
        Example("nono doctor --project", "Which profiles does the project here need?"),
    ),
    "nono setup": (Example("nono setup --check-only", "Look, and change nothing"),),
}

_EXIT = "Exit status: that of the command; 128+N if signal N killed it; see nono help exit-codes."
SEE_ALSO: Mapping[str, tuple[str, ...]] = {
    "nono run": (_EXIT,),
    "nono shell": (_EXIT,),
    "nono learn": (_EXIT,),
    "nono wrap": (_EXIT,),
    "nono profile": ("nono profile guide says how a profile is written.",),
}
