// SPDX-License-Identifier: Apache-2.0

//go:build race

package logging_test

const raceEnabled = true
