#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lists the folders of the modules that are not in the workspace.
set -euo pipefail
cd "$(dirname "$0")/.."
comm -23 \
	<(git ls-files --cached --others --exclude-standard '*go.mod' | grep -v testdata/ | xargs -n1 dirname | xargs -n1 realpath | sort) \
	<(go list -m -f '{{.Dir}}' | sort)
