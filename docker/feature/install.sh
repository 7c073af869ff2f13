#!/bin/sh
# Installs nono for all users of a dev container. PACKAGE is the option of the feature.
set -eu

python=
for candidate in python3.14 python3.13 python3.12 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "nono needs Python 3.12 or newer; add the feature ghcr.io/devcontainers/features/python" >&2
    exit 1
fi
"$python" -m venv /opt/nono
/opt/nono/bin/pip install --quiet "${PACKAGE:-nono}"
ln -sf /opt/nono/bin/nono /usr/local/bin/nono
