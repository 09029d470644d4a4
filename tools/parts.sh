#!/usr/bin/env bash
# Installs what tests, linters and fuzzing need and this machine lacks, into build/ where that is possible:
#   debian  programs from Debian's packages, as root or with sudo
#   npm     other people's MCP servers and clients, as tools/npm/package-lock.json pins them, into build/npm
#   go      linters, as tools/lint/go.mod pins them, into build/bin
# Without arguments all three. What cannot be installed is named; with GATEHOUSE_TEST_REQUIRE_PARTS set that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

missing() {
	echo "missing: $1" >&2
	if [[ -n ${GATEHOUSE_TEST_REQUIRE_PARTS:-} ]]; then exit 1; fi
}

# has_postgres looks where the tests look: in PATH and where Debian puts the server's programs.
has_postgres() {
	local found
	found=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' || true)
	[[ -n $found ]] || command -v initdb >/dev/null
}

debian() {
	local want=() as_root=()
	local pair
	for pair in curl:curl strace:strace ip:iproute2 unshare:util-linux python3:python3 gcc:gcc git:git npm:npm zsh:zsh fish:fish chromium:chromium; do
		command -v "${pair%%:*}" >/dev/null || want+=("${pair##*:}")
	done
	# gcc without the C library's headers is of no use to the race detector.
	[[ " ${want[*]-} " == *" gcc "* ]] && want+=(libc6-dev)
	has_postgres || want+=(postgresql)
	# The server's programs alone: the package mariadb-server would also start one.
	[[ -x /usr/sbin/mariadbd ]] || command -v mariadbd >/dev/null || want+=(mariadb-server-core)
	[[ ${#want[@]} == 0 ]] && return
	if ((EUID != 0)); then
		if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
			as_root=(sudo)
		else
			missing "${want[*]} (to install them, as root: apt-get install ${want[*]})"
			return
		fi
	fi
	if ! command -v apt-get >/dev/null; then
		missing "${want[*]} (no apt-get here: install them by hand)"
		return
	fi
	echo "installing ${want[*]}"
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${want[@]}" >/dev/null
}

npm_parts() {
	# The copy of the lock file is made last: it says that what it names is there.
	cmp -s tools/npm/package-lock.json build/npm/installed.json && return
	if ! command -v npm >/dev/null; then
		missing "npm, for the parts of tools/npm"
		return
	fi
	echo "installing the parts of tools/npm into build/npm"
	mkdir -p build/npm
	cp tools/npm/package.json tools/npm/package-lock.json tools/npm/.npmrc build/npm/
	if ! (cd build/npm && npm ci --ignore-scripts --loglevel=error >&2); then
		missing "the parts of tools/npm (npm ci failed)"
		return
	fi
	cp tools/npm/package-lock.json build/npm/installed.json
}

go_tools() {
	cmp -s tools/lint/go.sum build/bin/installed.sum && return
	echo "building the tools of tools/lint into build/bin"
	mkdir -p build/bin
	(cd tools/lint && go build -o ../../build/bin/ tool)
	cp tools/lint/go.sum build/bin/installed.sum
}

if [[ $# == 0 ]]; then set -- debian npm go; fi
for part in "$@"; do
	case $part in
	debian) debian ;;
	npm) npm_parts ;;
	go) go_tools ;;
	*)
		echo "$0: there is no part $part: debian npm go" >&2
		exit 2
		;;
	esac
done
