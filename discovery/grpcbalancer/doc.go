// SPDX-License-Identifier: Apache-2.0

// Package grpcbalancer is gRPC's load balancing policy "fairlead".
package grpcbalancer
