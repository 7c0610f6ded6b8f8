// SPDX-License-Identifier: Apache-2.0

// Package registrytest holds services that find each other through real registries
// against what happens at night: restarts, kills, an outage, the loss of a leader.
// Its folders have tests only, one for each registry; the drills, those of package
// drill, are the same for all. It is a module of its own because the tests need
// the front door and every back end, which none of them needs of another.
package registrytest
