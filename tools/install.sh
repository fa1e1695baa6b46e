#!/bin/sh
# Builds the virtual environment: install.sh PYTHON VENV. Quiet unless something fails.
set -eu
python=$1
venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "convsmith needs Python 3.11 or newer. Try: make PYTHON=python3.12 ..." >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
log=$venv/install.log
echo "Installing into $venv (several minutes the first time; log: $log)"

install() {
    "$venv/bin/python" -m pip install --quiet -c constraints.txt "$@" >>"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        echo "The installation failed; the whole log is in $log" >&2
        exit 1
    }
}

: >"$log"
# torch first and alone: asked for by a range, it may bring gigabytes of CUDA libraries.
install "$(grep -E '^torch==' constraints.txt)"
install -e '.[all,dev]'
