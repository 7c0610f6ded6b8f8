// SPDX-License-Identifier: Apache-2.0

// Package grpchealth answers gRPC's health service from the checks of package health,
// and asks others'.
package grpchealth
