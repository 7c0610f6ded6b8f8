// SPDX-License-Identifier: Apache-2.0

//go:build race

package balancer_test

const raceEnabled = true
