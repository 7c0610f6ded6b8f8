// SPDX-License-Identifier: Apache-2.0

// Package static is a catalog of instances that somebody wrote down: in code, or in a
// setting such as
//
//	inventory=10.0.0.1:8443,10.0.0.2:8443;payment=pay.internal:8443
//
// It is for development, for tests, for services outside of any registry, and as the
// fallback of another catalog (package multi).
//
//	catalog, err := static.Parse("dev", os.Getenv("…"))
//	watcher, err := discovery.NewWatcher(catalog, "dev")
//
// [Catalog.Set] replaces the instances of a service while it is watched, for programs
// that read them again.
//
// # What it is not
//
// Nobody registers in it, and nobody checks: an instance is there until somebody says
// otherwise.
package static
