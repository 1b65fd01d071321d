# shellcheck shell=sh
# Read by the need-*.sh with `.`: how they install what is missing, as root or with sudo.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Whether it can be done: this is a Debian, and sudo, where it is needed, asks for no password.
can_install() {
  command -v apt-get >/dev/null && as_root true 2>/dev/null
}

# install_packages PACKAGE…: prints nothing on the standard output, where some scripts print what they have found.
install_packages() {
  as_root apt-get update -qq >&2
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
