// SPDX-License-Identifier: Apache-2.0

// Package servers finds the programs that integration tests and the shop start:
// Consul and etcd, which no package manager has in the version that is meant.
// The folders beside it build them from their modules, outside of the workspace
// and linked by nobody; scripts/servers.sh does it once for a user.
//
//	path, err := servers.Find("consul")
//
// It starts and stops nothing, and no released package imports it.
package servers
