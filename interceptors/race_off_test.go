// SPDX-License-Identifier: Apache-2.0

//go:build !race

package interceptors_test

const raceEnabled = false
