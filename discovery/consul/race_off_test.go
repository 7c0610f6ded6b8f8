// SPDX-License-Identifier: Apache-2.0

//go:build !race

package consul_test

// raceEnabled switches off allocation budgets: the race detector allocates.
const raceEnabled = false
