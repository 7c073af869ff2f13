#!/bin/sh
# Installs nono for all users of a dev container, as root. PACKAGE is the option of the feature.
set -eu

# A name is never looked up: on PyPI `nono` is another project.
package=${PACKAGE:-}
if [ -z "$package" ]; then
    for wheel in "$(dirname "$0")"/nono-*.whl; do
        if [ -e "$wheel" ]; then package=$wheel; fi
    done
fi
case $package in
    *.whl) ;;
    *)
        echo "nono: lay a wheel beside this script, or give the option package: the path or address of one" >&2
        exit 1
        ;;
esac

python=
for candidate in python3.14 python3.13 python3.12 python3; do
    if command -v "$candidate" >/dev/null \
        && "$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "nono needs Python 3.12 or newer with the module venv: add ghcr.io/devcontainers/features/python," >&2
    echo "or install python3-venv (Debian 13, Ubuntu 24.04)" >&2
    exit 1
fi
"$python" -m venv /opt/nono
/opt/nono/bin/pip install --quiet --disable-pip-version-check "$package"
mkdir -p /usr/local/bin
ln -sf /opt/nono/bin/nono /usr/local/bin/nono
