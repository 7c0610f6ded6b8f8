// SPDX-License-Identifier: Apache-2.0

//go:build !race

package grpcbalancer_test

const raceEnabled = false
