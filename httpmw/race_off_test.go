// SPDX-License-Identifier: Apache-2.0

//go:build !race

package httpmw_test

const raceEnabled = false
