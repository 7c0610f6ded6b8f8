#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the servers that are named, or consul and etcd, from their modules in
# internal/servers into the user's cache: once for each version and recipe. The
# first time takes minutes, and for Consul some gigabytes of Go's caches.
set -euo pipefail
cd "$(dirname "$0")/../internal/servers"

cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/fairlead/servers
mkdir -p "$cache"
[ $# -gt 0 ] || set -- consul etcd
for name in "$@"; do
	case $name in
	consul) package=. variable=CONSUL_BIN ;;
	etcd) package=go.etcd.io/etcd/server/v3 variable=ETCD_BIN ;;
	*) echo "$0: $name: want consul or etcd" >&2; exit 2 ;;
	esac
	if [ -n "${!variable:-}" ]; then
		echo "$name: $variable says ${!variable}"
		continue
	fi
	recipe=$(cat "$name"/go.mod "$name"/go.sum "$name"/*.go 2>/dev/null | sha256sum | cut -c1-16)-$(go env GOVERSION)
	if [ -x "$cache/$name" ] && [ "$(cat "$cache/$name.recipe" 2>/dev/null)" = "$recipe" ]; then
		continue
	fi
	echo "building $name, once (a few minutes) ..."
	(cd "$name" && GOWORK=off go build -o "$cache/$name.new" "$package")
	mv "$cache/$name.new" "$cache/$name"
	echo "$recipe" >"$cache/$name.recipe"
done
