#!/usr/bin/env bash
# Builds what is released into build/release: static binaries for Linux, a Debian package of each, and what the container
# file copies. The version is the last tag's, or the argument.
set -euo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go}
version=${1:-$(git describe --tags --match 'v*' 2>/dev/null || echo v0.0.0)}
export VERSION=${version#v}
mkdir -p build/release build/bin
if [[ ! -x build/bin/nfpm ]] || ! cmp -s tools/release/go.sum build/bin/release.sum; then
	(cd tools/release && "$GO" build -o ../../build/bin/ tool)
	cp tools/release/go.sum build/bin/release.sum
fi
"$GO" build -trimpath -o build/release/native .
for shell in bash zsh fish; do build/release/native completion "$shell" >"build/release/completion.$shell"; done
for ARCH in ${ARCHS:-amd64 arm64}; do
	export ARCH
	CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH "$GO" build -trimpath -ldflags='-s -w' -o "build/release/gatehouse-$ARCH" .
	cp "build/release/gatehouse-$ARCH" build/release/gatehouse
	build/bin/nfpm package --config packaging/nfpm.yaml --packager deb --target build/release/
done
if [[ -r /etc/ssl/certs/ca-certificates.crt ]]; then cp /etc/ssl/certs/ca-certificates.crt build/release/; fi
