"""Everyday commands of languages without a profile of their own, of environments, browsers and sessions."""

from __future__ import annotations

from functools import partial

from support.workday.case import Case

GEM = (
    "mkdir lib; echo 'module Made; end' > lib/made.rb; "
    "printf \"Gem::Specification.new { |s| s.name = 'made'; s.version = '1'; s.summary = 'x'; "
    "s.authors = ['a']; s.files = ['lib/made.rb'] }\\n\" > made.gemspec; "
)
DISTRIBUTION = (
    "mkdir -p D/lib; printf 'use ExtUtils::MakeMaker; WriteMakefile(NAME => \"D\", VERSION => 1);\\n' "
    "> D/Makefile.PL; printf 'package D; our $VERSION = 1; 1;\\n' > D/lib/D.pm; "
)
HOOK = (
    "printf 'repos:\\n- repo: local\\n  hooks:\\n  - {id: a, name: a, language: python, "
    'entry: python -c "import sys", pass_filenames: false}\\n\' > .pre-commit-config.yaml; '
)
SESSION = 'printf \'<?php session_start(); $_SESSION["a"] = 1; echo "served";\' > index.php; '
SERVED = (
    "php -S 127.0.0.1:0 > log 2>&1 & server=$!; "
    "for _ in $(seq 100); do grep -q started log && break; sleep 0.1; done; "
    "curl -sS $(grep -o 'http://127[0-9.:]*' log) | grep -q served; kill $server; ! grep -i warning log"
)
DOCUMENT = r"printf '\\documentclass{article}\\begin{document}$x^2$\\end{document}' > a.tex; "
SHARED_DIRECTORY = "without namespaces the directory for everybody's is shared, and not granted"

slow = partial(Case, is_slow=True)
CASES = [
    slow(
        "gem installs a gem",
        GEM + "gem build -q made.gemspec; gem install -q --local made-1.gem; "
        "ruby -e 'require \"made\"'; gem uninstall -q made",
    ),
    slow(
        "bundler installs a project",
        GEM + "echo gemspec > Gemfile; bundle install; bundle exec ruby -e 'require \"made\"'",
    ),
    slow("bundler keeps a setting", "bundle config set --global jobs 2; bundle config get jobs | grep -q 2"),
    slow(
        "cpanm installs a distribution",
        DISTRIBUTION + "cpanm -q -l local ./D; perl -Ilocal/lib/perl5 -MD -e 1",
    ),
    slow("Haskell is compiled", "echo 'main = print 1' > a.hs; ghc -v0 a.hs; ./a | grep -qx 1"),
    slow(
        "CHICKEN compiles a program",
        "echo '(import (chicken base)) (print 1)' > a.scm; csc a.scm; ./a | grep -qx 1",
    ),
    slow(
        "Stack goes on beside settings of the person's",
        "printf 'resolver: ghc-%s\\nsystem-ghc: true\\ninstall-ghc: false\\npackages: []\\n' "
        "$(ghc --numeric-version) > stack.yaml; stack exec -- true",
        stage="mkdir -p ~/.stack; echo 'install-ghc: false' > ~/.stack/config.yaml",
    ),
    slow("virtualenv makes an environment", "python3 -m virtualenv -q v; v/bin/python -c 1"),
    slow(
        "virtualenv makes an environment for Python",
        "python3 -m virtualenv -q v; v/bin/python -c 1",
        profile="python-dev",
    ),
    slow(
        "pre-commit makes the environment of a hook",
        "git init -q .; " + HOOK + "git add .; pre-commit run --all-files",
    ),
    slow("latexmk makes a document", DOCUMENT + "latexmk -pdf -interaction=batchmode a.tex; test -s a.pdf"),
    slow(
        "TeX makes a font that it lacks",
        "mktexpk --mfmode ljfour --bdpi 600 --mag 1+13/600 --dpi 613 cmr10 | grep -q cmr10",
    ),
    slow(
        "Composer goes on beside settings of the person's",
        'echo \'{"name": "a/b"}\' > composer.json; composer -n -q dump-autoload; test -s vendor/autoload.php',
        stage="mkdir -p ~/.config/composer; echo '{\"config\": {}}' > ~/.config/composer/config.json",
    ),
    slow(
        "a program that pipx installed runs",
        "own-of-pipx | grep -qx own",
        profile="python-dev",
        stage="p=~/.local/share/pipx/venvs/own/bin; mkdir -p $p; echo 'echo own' > $p/own-of-pipx; "
        "chmod +x $p/own-of-pipx; ln -sf $p/own-of-pipx ~/.local/bin/",
    ),
    slow(
        "micro goes on beside settings of the person's",
        "command -v micro || exit; ! micro -plugin list 2>&1 | grep -i denied",
        stage="mkdir -p ~/.config/micro; echo '{}' > ~/.config/micro/settings.json",
    ),
    slow(
        "lazygit goes on beside settings of the person's",
        "command -v lazygit || exit; git init -q; "
        "timeout 10 script -qec 'timeout 5 lazygit' /dev/null > shown || true; ! grep -ai denied shown",
        stage="mkdir -p ~/.config/lazygit; touch ~/.config/lazygit/config.yml",
    ),
    slow(
        "OCaml's prompt reads its settings",
        "echo 'print_int 42;;' | ocaml -noprompt | grep -q 42",
        stage="touch ~/.ocamlinit",
    ),
    slow(
        "GNU parallel waits for a semaphore", "timeout 20 sem --id own true; timeout 20 sem --wait --id own"
    ),
    slow(
        "a program that npm installed for the person runs",
        "~/.npm-global/bin/own-of-npm | grep -qx own",
        profile="node-dev",
        stage="p=~/.npm-global/bin; mkdir -p $p; echo 'echo own' > $p/own-of-npm; chmod +x $p/own-of-npm",
    ),
    slow(
        "Chromium shows a page",
        "echo '<p>shown' > a.html; "
        "timeout 60 chromium --headless --no-sandbox --dump-dom file://$PWD/a.html | grep shown",
    ),
    slow("PHP serves a session", SESSION + SERVED, unshared=SHARED_DIRECTORY),
    slow(
        "screen runs a command in a window",
        "TERM=xterm screen -d -m -S own sh -c 'echo 1 > f; sleep 9'; "
        "for _ in $(seq 100); do test -s f && break; sleep 0.1; done; screen -ls | grep -q own; "
        "screen -S own -X quit; test -s f",
        unshared=SHARED_DIRECTORY,
    ),
]
