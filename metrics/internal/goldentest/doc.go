// SPDX-License-Identifier: Apache-2.0

// Package goldentest holds the metrics of metrics.WithGRPCMiddlewareNames against
// the original, go-grpc-middleware's Prometheus provider, on a real server. It is a
// module of its own because the provider brings a tree that no user of Fairlead
// needs. It has tests and nothing else; run them in its folder with
//
//	GOWORK=off go test ./...
package goldentest
