// SPDX-License-Identifier: Apache-2.0

// Package registries opens the registry that -registry names, and starts its server if
// there is none yet.
//
//	registry, err := registries.Open(ctx, registries.Etcd, say)
//	defer registry.Close()
//	… fairlead.WithRegistry(registry.Catalog) …
//
// memory is a registry in this process. consul and etcd are servers: those that
// CONSUL_HTTP_ADDR, ETCD_ENDPOINTS or ETCDCTL_ENDPOINTS name, or else one that is
// started for this run, on loopback, with nothing to keep. It is stopped by
// [Registry.Close], and does not outlive this process.
package registries
