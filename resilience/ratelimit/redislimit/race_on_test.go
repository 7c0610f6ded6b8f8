// SPDX-License-Identifier: Apache-2.0

//go:build race

package redislimit_test

const raceEnabled = true
