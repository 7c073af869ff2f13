"""Everyday commands of languages without a profile of their own, of environments and browsers."""

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
    slow(
        "Chromium shows a page",
        "echo '<p>shown' > a.html; "
        "timeout 60 chromium --headless --no-sandbox --dump-dom file://$PWD/a.html | grep -q shown",
    ),
]
