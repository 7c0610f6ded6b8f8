// SPDX-License-Identifier: Apache-2.0

// Package multi makes one registry of several: a primary with a fallback, or the
// registries of datacenters in the order in which they are preferred.
//
//	registry, err := multi.New(consulHere, consulElsewhere)
//	registrar, err := discovery.NewRegistrar(registry, namespace, instance)
//	watcher, err := discovery.NewWatcher(registry, namespace)
//
//	catalog, err := multi.NewCatalog(consul, dnsCatalog)     // to watch only
//	catalog, err := multi.NewDatacenters([]multi.Datacenter{{"eu", consulEU}, {"us", consulUS}})
//
// # Primary and fallback
//
// Registrations and watches each find out by themselves whether the primary answers.
// Two calls in a row that fail move them to the fallback, at most 1.2 s after the first
// of them began: each has [WithCallTimeout], with [WithRetryDelay] between them. On the
// fallback, the time to live is shorter ([WithFallbackTTL]), because nothing there is
// meant to last.
//
// If both are away, heartbeats are kept: how the instance was last, since when nobody
// could be told, and how often it was tried ([ErrAway], [Observer]). Whichever registry
// is back first gets the latest state. Watchers keep what they know meanwhile; that is
// what the core is for.
//
// The primary is tried again every [WithProbeInterval]. When it answers, registrations
// move back one by one, spread over [WithReconcileTime]; watches follow when that time and
// a probe interval are over, so that they do not look before everybody is back. Until
// they have, registrations are in both. Then their entries are taken out of the fallback.
//
// # Datacenters
//
// All are watched, one is seen: the first in which there is an instance. One whose
// registry is away counts with what was last known of it.
//
// # What it is not
//
// It copies nothing from one registry to another, and never shows instances of two at
// once. A watch that hangs without an error is its back end's to notice; the core opens
// each watch anew now and then, which then fails here.
package multi
