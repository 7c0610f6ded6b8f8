// SPDX-License-Identifier: Apache-2.0

//go:build race

package record_test

// raceEnabled says that allocations are not what they are in production.
const raceEnabled = true
