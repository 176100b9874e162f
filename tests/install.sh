#!/usr/bin/env bash
# Installs Debian packages and says which: tests/install.sh PACKAGE...
# On another system it names what is missing and fails.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo "missing, and this is no Debian: $*; install what your system has in their place" >&2
    exit 1
fi
root=()
if ((EUID != 0)); then
    root=(sudo)
fi
echo "installing $*" >&2
"${root[@]}" apt-get update -qq >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2
