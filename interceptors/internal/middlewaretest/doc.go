// SPDX-License-Identifier: Apache-2.0

// Package middlewaretest shows that go-grpc-middleware's protovalidate
// interceptors work inside our chain. It is a module of its own because
// protovalidate brings a tree that no user of Fairlead needs; the middleware's
// other interceptors are tested in package interceptors. It has tests and
// nothing else; run them in its folder with
//
//	GOWORK=off go test ./...
package middlewaretest
