# Sourced by the other scripts: makes sure that a virtual environment holds exactly what a lock file names.
#
#   environment DIRECTORY LOCK     creates or refreshes $root/DIRECTORY from $root/LOCK and sets $python to its interpreter
#
# A stamp (checksum of the lock, and where the checkout is) decides whether there is anything to do, so that a second start installs nothing.
# Halley itself comes in as a .pth line and a launcher: no build step, and an edit in src/ is live at once.

# A server without .pyc files starts seconds later, and foreign import paths would shadow what the lock pins.
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH PIP_USER

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$@"
    exit 1
}

environment() {
    venv=$root/$1
    lock=$root/$2
    python=$venv/bin/python
    stamp="$(cksum <"$lock") $root"
    is_current || install_once
}

is_current() {
    [ -f "$venv/halley-stamp" ] && [ "$(cat "$venv/halley-stamp")" = "$stamp" ] && "$python" -c '' 2>/dev/null
}

# Two starts at once: the first to make the directory installs, the other waits for it.
install_once() {
    guard=$venv.lock
    waited=0
    until mkdir "$guard" 2>/dev/null; do
        holder=$(cat "$guard/pid" 2>/dev/null) || holder=
        if [ "$waited" -gt 2 ] && { [ -z "$holder" ] || ! kill -0 "$holder" 2>/dev/null; }; then
            # Its owner is gone. Renaming can succeed for one of several waiters only.
            mv "$guard" "$guard.$$" 2>/dev/null && rm -rf "$guard.$$"
            continue
        fi
        [ "$waited" -ne 3 ] || say "Waiting for another start (process $holder) that is installing into $venv"
        [ "$waited" -lt 600 ] || fail "Gave up waiting. If nothing is installing, remove $guard and start again."
        waited=$((waited + 1))
        sleep 1
    done
    printf '%s\n' "$$" >"$guard/pid"
    trap 'rm -rf "$guard"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    is_current || install
    rm -rf "$guard"
    trap - EXIT INT TERM
}

install() {
    say "Installing the locked packages into $venv (once; a minute or less)"
    rm -f "$venv/halley-stamp"
    "$python" -c '' 2>/dev/null || rm -rf "$venv"
    install_with_uv || install_with_pip
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root/src" >"$site/halley.pth"
    launcher >"$venv/bin/halley.$$"
    chmod +x "$venv/bin/halley.$$"
    mv "$venv/bin/halley.$$" "$venv/bin/halley"
    "$python" -m compileall -q "$root/src" >/dev/null 2>&1 || true
    printf '%s\n' "$stamp" >"$venv/halley-stamp"
}

install_with_uv() {
    command -v uv >/dev/null 2>&1 || return 1
    if [ ! -x "$python" ]; then
        base=$(distribution_python) || base=$(find_python "import sys") || base=3.11
        uv venv --quiet --python "$base" "$venv" || return 1
    fi
    uv pip install --quiet --python "$python" --require-hashes --no-build --no-deps --compile-bytecode -r "$lock" && return 0
    say "uv could not do it; trying pip"
    return 1
}

install_with_pip() {
    if [ ! -x "$python" ]; then
        base=$(distribution_python) || base=$(find_python "import venv, ensurepip") || no_python
        bare=
        "$base" -c 'import ensurepip' 2>/dev/null || bare=--without-pip
        "$base" -m venv $bare "$venv" || fail "$base could not create $venv"
    fi
    lender=
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null 2>&1 || lender=$(find_python "$has_pip") ||
        fail "$venv has no pip; remove it and start again."
    pip install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all: --no-deps -r "$lock" ||
        fail "The locked packages could not be installed: no network, or no package index? The reason stands above. Only the first start needs
one. Nothing is half done: the next start tries again."
}

# The environment's own pip, or another Python's that installs into it.
pip() {
    if [ -n "$lender" ]; then "$lender" -m pip --python "$python" "$@"; else "$python" -m pip "$@"; fi
}

has_pip="import pip; assert int(pip.__version__.split('.')[0]) >= 23"

# The distribution's Python, if it can be used: one that was compiled at home runs the same code a fifth slower (docs/benchmarks.md). It may
# lack pip, which Debian packages apart, as long as another Python lends its own.
distribution_python() {
    [ -z "${HALLEY_PYTHON:-}" ] || return 1
    case ":$PATH:" in *:/usr/bin:*) ;; *) return 1 ;; esac
    for candidate in /usr/bin/python3.13 /usr/bin/python3.12 /usr/bin/python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import sys; assert sys.version_info >= (3, 11); import venv' 2>/dev/null; then
            if "$candidate" -c 'import ensurepip' 2>/dev/null || find_python "$has_pip" >/dev/null; then
                printf '%s\n' "$candidate"
                return 0
            fi
        fi
    done
    return 1
}

# The first Python from 3.11 on that can run the given import.
find_python() {
    for candidate in ${HALLEY_PYTHON:-python3.13 python3.12 python3.11 python3.14 python3}; do
        if "$candidate" -c "import sys; assert sys.version_info >= (3, 11); $1" >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

no_python() {
    if base=$(find_python "import sys"); then
        version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$base cannot create virtual environments. On Debian and Ubuntu:
    sudo apt-get install -y python$version-venv
then start again."
    fi
    fail "Halley needs Python 3.11 or later with venv. On Debian 12 or Ubuntu 24.04 and later:
    sudo apt-get install -y python3 python3-venv
then start again. Another Python can be named in HALLEY_PYTHON."
}

launcher() {
    "$python" -c 'import shlex, sys
print("#!/bin/sh\nexec %s -P -m halley.cli.main \"$@\"" % shlex.quote(sys.argv[1]))' "$python"
}
