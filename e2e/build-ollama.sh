#!/usr/bin/env bash
# Build a real Ollama server, CPU only, for the end-to-end tests.
#
#   e2e/build-ollama.sh BINDIR          puts BINDIR/ollama there
#   MYCO_TEST_OLLAMA=BINDIR/ollama go test -tags e2e ./internal/engine/... ./e2e/...
#
# Everything comes from the Go module proxy and from Debian. It takes about six
# CPU minutes the first time and a few seconds with a warm build cache.
#
# Environment:
#   OLLAMA_VERSION   module version to build (default v0.17.4)
#   OLLAMA_HEADERS   folder for the collected headers; the path is part of the
#                    build cache key, so keep it the same between runs
#   OLLAMA_MARCH     compiler target on amd64 (default x86-64-v3: about ten
#                    times faster than the compiler's own default)
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: $0 BINDIR" >&2
  exit 2
fi
bindir=$(mkdir -p "$1" && cd "$1" && pwd)
version=${OLLAMA_VERSION:-v0.17.4}
headers=${OLLAMA_HEADERS:-${XDG_CACHE_HOME:-$HOME/.cache}/mycoswarm-e2e/ollama-headers}
mkdir -p "$headers"

for tool in go gcc g++; do
  command -v "$tool" >/dev/null || { echo "$0: $tool is missing; install it and try again" >&2; exit 1; }
done

# A module zip never holds a folder named vendor, and Ollama keeps three header
# libraries in one. Two are Debian packages, the third lies in another module.
include=
for dir in /usr/include /usr/local/include "$headers"; do
  if [ -f "$dir/nlohmann/json.hpp" ] && [ -f "$dir/stb/stb_image.h" ]; then
    include=$dir
    break
  fi
done
if [ -z "$include" ]; then
  sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nlohmann-json3-dev libstb-dev
fi

# The scratch module keeps the download out of this repository's go.mod.
[ -f "$headers/go.mod" ] || (cd "$headers" && go mod init mycoswarm-e2e/headers >/dev/null 2>&1)
malgo=$(cd "$headers" && go mod download -json github.com/gen2brain/malgo@v0.11.24 | sed -n 's/^[[:space:]]*"Dir": "\(.*\)".*/\1/p')
mkdir -p "$headers/miniaudio"
cp -f "$malgo/miniaudio.h" "$headers/miniaudio/"

optimise=-O3
if [ "$(go env GOARCH)" = amd64 ]; then
  optimise="-O3 -march=${OLLAMA_MARCH:-x86-64-v3}"
fi

# Run outside any module, so that the version asked for is the one installed.
cd "$headers"
GOBIN=$bindir CGO_ENABLED=1 \
  CGO_CPPFLAGS="-I$headers" CGO_CFLAGS="$optimise" CGO_CXXFLAGS="$optimise" \
  go install -ldflags "-s -w -X=github.com/ollama/ollama/version.Version=${version#v}" \
  "github.com/ollama/ollama@$version"
echo "$bindir/ollama"
