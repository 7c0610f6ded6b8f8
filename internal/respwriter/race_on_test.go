// SPDX-License-Identifier: Apache-2.0

//go:build race

package respwriter_test

const raceEnabled = true
