#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lists the folders of the modules that are not in the workspace, without those
# that only build a server: scripts/servers.sh does that.
set -euo pipefail
cd "$(dirname "$0")/.."
comm -23 \
	<(git ls-files --cached --others --exclude-standard '*go.mod' | grep -v -e testdata/ -e ^internal/servers/ | xargs -n1 dirname | xargs -n1 realpath | sort) \
	<(go list -m -f '{{.Dir}}' | sort)
