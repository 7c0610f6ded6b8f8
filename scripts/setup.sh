#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings what the tests need beyond Go: its modules, Consul and etcd, built once
# into the user's cache, and, as root on Debian, the packages below. Elsewhere it
# names what to install; the tests that need it say so by name at the end
# (scripts/report.sh), and in CI that is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

go mod download
# Building them is not to keep anybody from the other tests, but for CI.
scripts/servers.sh || [ -z "${CI:-}" ]

# Program and the Debian package it is in.
declare -A packages=([prometheus]=prometheus [promtool]=prometheus [redis-server]=redis-server [redis-cli]=redis-tools)

missing=()
for program in "${!packages[@]}"; do
	command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# Services of the packages are not to start: tests start and stop their own.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
		chmod +x /usr/sbin/policy-rc.d
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	fi
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	exit 0
fi
echo "To run all tests, install: ${missing[*]}" >&2
