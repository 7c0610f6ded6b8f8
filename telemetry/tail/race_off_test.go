// SPDX-License-Identifier: Apache-2.0

//go:build !race

package tail_test

const raceEnabled = false
