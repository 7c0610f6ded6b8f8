// SPDX-License-Identifier: Apache-2.0

// Package memory is a registry in the memory of one process: for tests, and for
// programs that run all their services in one process.
//
//	registry := memory.New()
//	registrar, err := discovery.NewRegistrar(registry, "dev", discovery.Instance{Service: "order", Address: "10.0.0.7:8443"})
//	watcher, err := discovery.NewWatcher(registry, "dev")
//
// It has times to live, and expires what is not renewed. [Registry.Faults] makes it
// behave as badly as real ones do, so that a test can see what its program makes of
// that.
//
// # What it is not
//
// It is not shared between processes, and keeps nothing when its process ends.
//
// # Cost
//
// A registration or a change costs each watch of the service a map entry. It has one
// lock, and a timer per registration; it starts no goroutine.
package memory
