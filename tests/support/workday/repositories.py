"""Everyday commands of git beyond a first commit."""

from __future__ import annotations

from support.workday.case import Case
from support.workday.files import REPOSITORY

TWO = REPOSITORY + "echo 2 > g; git add g; git commit -qm two; "
BARE = (
    "git init -q --bare o.git; git init -q w; cd w; git commit -qm one --allow-empty; "
    "git remote add origin ../o.git; "
)

CASES = [
    Case(
        "git merges a branch",
        REPOSITORY + "git switch -qc b; echo 2 > g; git add g; git commit -qm b; git switch -q main; "
        "git merge -q --no-ff -m m b; test -f g",
    ),
    Case(
        "git stops at a conflict and goes on",
        REPOSITORY + "git switch -qc b; echo 2 > f; git commit -qam b; git switch -q main; echo 3 > f; "
        "git commit -qam c; ! git merge -q b > log; echo 4 > f; git add f; git commit -qm m; "
        "git log --oneline | grep -q m",
    ),
    Case(
        "git rebases a branch",
        REPOSITORY
        + "git switch -qc b; echo 2 > g; git add g; git commit -qm b; git switch -q main; echo 3 > h; "
        "git add h; git commit -qm c; git rebase -q main b; test -f h",
    ),
    Case("git takes one commit over", TWO + "git switch -qc b HEAD~1; git cherry-pick main > log; test -f g"),
    Case("git reverts", TWO + "git revert --no-edit HEAD > log; test ! -e g"),
    Case("git amends", TWO + "git commit -q --amend -m three; git log -1 --format=%s | grep -qx three"),
    Case("git tags and describes", REPOSITORY + "git tag -a v1 -m v1; git describe | grep -qx v1"),
    Case(
        "git pushes to a bare repository",
        BARE + "git push -q -u origin main; git -C ../o.git log --oneline | grep -q one",
    ),
    Case(
        "git fetches and pulls",
        BARE + "git push -q origin main; git clone -q ../o.git ../c; git commit -qm two --allow-empty; "
        "git push -q origin main; git -C ../c pull -q; git -C ../c log --oneline | grep -q two",
    ),
    Case(
        "git clones with a depth",
        BARE + "git push -q origin main; git clone -q --depth 1 file://$PWD/../o.git ../c",
    ),
    Case(
        "git clones by reference", BARE + "git push -q origin main; git clone -q --reference . ../o.git ../c"
    ),
    Case("git blames and greps", TWO + "git blame f | grep -q Person; git grep -q 2 HEAD -- g"),
    Case("git shows a graph", TWO + "git log --graph --stat --format=%h > log; grep -q g log"),
    Case(
        "git cleans and resets",
        TWO + "echo 3 > x; git clean -qfd; git reset -q --hard HEAD~1; test ! -e x; test ! -e g",
        unmasked="a denied file cannot be removed either, so git reports that it had to leave it",
    ),
    Case("git restores from the index", TWO + "echo 9 > f; git restore f; grep -qx 1 f"),
    Case(
        "git adds a part",
        "git init -q .; seq 9 > f; git add f; git commit -qm one; sed -i '1s/1/x/; 9s/9/y/' f; "
        "printf 's\\ny\\nn\\n' | git add -p f > log; git diff --cached | grep -q +x",
    ),
    Case(
        "git writes patches and takes them in",
        TWO + "git format-patch -q -1; git reset -q --hard HEAD~1; git am -q *.patch; test -f g",
    ),
    Case("git makes an archive", REPOSITORY + "git archive -o a.tar.gz HEAD; tar -tf a.tar.gz | grep -qx f"),
    Case(
        "git makes a bundle", REPOSITORY + "git bundle create -q b HEAD main; git clone -q b c; test -f c/f"
    ),
    Case("git checks a repository", REPOSITORY + "git fsck --no-progress; git count-objects > /dev/null"),
    Case("git packs and repacks", TWO + "git repack -qad; ls .git/objects/pack/*.pack > /dev/null"),
    Case("git keeps notes", REPOSITORY + "git notes add -m note; git log -1 | grep -q note"),
    Case("git keeps settings of a repository", "git init -q .; git config a.b c; test $(git config a.b) = c"),
    Case("git runs an alias", REPOSITORY + "git -c alias.last='log -1 --format=%s' last | grep -qx one"),
    Case(
        "git ignores what it is told to",
        "git init -q .; echo x > .gitignore; touch x; git status --porcelain | grep -q gitignore; "
        "git check-ignore -q x",
    ),
    Case("git checks out a part", TWO + "git sparse-checkout set --no-cone f; test ! -e g"),
    Case(
        "git filters a branch's history",
        TWO + "FILTER_BRANCH_SQUELCH_WARNING=1 git filter-branch -f --index-filter 'git rm -q --cached "
        "--ignore-unmatch g' HEAD > log 2>&1; ! git ls-files | grep -q g",
        is_slow=True,
    ),
    Case(
        "git switches between worktrees",
        REPOSITORY
        + "git worktree add -q -b b w; git -C w commit -qm two --allow-empty; git worktree remove w; "
        "git log b --oneline | grep -q two",
    ),
    Case(
        "git hooks refuse a commit",
        "git init -q .; printf '#!/bin/sh\\nexit 1\\n' > .git/hooks/pre-commit; "
        "chmod +x .git/hooks/pre-commit; ! git commit -qm one --allow-empty",
    ),
    Case(
        "git compares without a repository",
        "echo 1 > a; echo 2 > b; git diff --no-index --stat a b > log || test $? = 1",
    ),
    Case(
        "git watches its files",
        "git init -q .; git -c core.untrackedCache=true status -s; git update-index --refresh",
    ),
    Case(
        "git works for Claude Code",
        "echo 2 > f; git commit -qam two; git stash list; git branch b; git switch -q b",
        profile="claude-code",
        stage=REPOSITORY,
    ),
    Case("git works for Codex", "echo 2 > f; git commit -qam two", profile="codex", stage=REPOSITORY),
    Case(
        "git works for somebody who writes Rust",
        "echo 2 > f; git commit -qam two; git log -p > /dev/null",
        profile="rust-dev",
        stage=REPOSITORY,
    ),
    Case("gh tells its version", "gh --version > /dev/null", profile="coding-agent"),
]
