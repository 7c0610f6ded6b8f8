// SPDX-License-Identifier: Apache-2.0

// Package snapshot keeps what a watcher knows on disk, so that the next process can
// begin without a registry.
//
//	store, err := snapshot.Open("/var/lib/order/discovery")
//	watcher, err := discovery.NewWatcher(registry, namespace, discovery.WithStore(store))
//
// There is one file for each service, replaced as a whole: it is written beside the old
// one, synced and renamed. A file says which namespace and service it is of and ends
// with a checksum, and one that is damaged, cut short or of something else is an error
// and never a set. Processes may share a folder; the last to write wins, and all of them
// write what the same registry said.
//
// # What it is not
//
// It is not a cache that is asked for each call: it is read once, when a service is
// first watched, and what the registry says takes its place at once. It is no secret and
// no proof: whoever can write to the folder decides where the process connects to, so
// files that others than their owner's account may write to are not read.
//
// # Format
//
// UTF-8 lines that end with a line feed:
//
//	{"v":1,"namespace":"prod","service":"order","at":"2026-11-21T08:00:00Z","count":2}
//	{"v":1,"namespace":"prod","service":"order","id":…}    discovery.EncodeInstance
//	{"v":1,"namespace":"prod","service":"order","id":…}
//	sha256 5d41…                                           of all lines before this one
package snapshot
