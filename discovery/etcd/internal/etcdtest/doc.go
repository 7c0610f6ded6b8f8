// SPDX-License-Identifier: Apache-2.0

// Package etcdtest is an etcd in memory, for what a real one does not do on command: one
// member that keeps keys, leases and watches, and behaves as badly as it is told to.
//
//	server := etcdtest.New()
//	defer server.Stop()
//	backend, err := etcd.New(etcd.WithEndpoints("http://etcd:2379"), etcd.WithDialer(server.Dial))
//	server.Compact()
//
// It speaks etcd's protocol over connections in memory, so that it works in bubbles of
// testing/synctest. It has as much of etcd as package etcd calls, and no more.
package etcdtest
