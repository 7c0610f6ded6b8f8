#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Says at the end which tests could not run for want of a program.
set -euo pipefail
skipped=()
for program in prometheus promtool redis-server redis-cli; do
	command -v "$program" >/dev/null || skipped+=("$program")
done
for server in consul etcd; do
	variable=${server^^}_BIN
	command -v "${!variable:-$server}" >/dev/null || [ -x "${XDG_CACHE_HOME:-$HOME/.cache}/fairlead/servers/$server" ] || skipped+=("$server")
done
if [ ${#skipped[@]} -eq 0 ]; then
	echo "all tests ran"
	exit 0
fi
echo "not run, because these programs are not installed: ${skipped[*]}"
[ -z "${CI:-}" ]
