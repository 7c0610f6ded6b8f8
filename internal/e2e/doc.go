// SPDX-License-Identifier: Apache-2.0

// Package e2e holds tests that no package can hold alone: a request on its way
// through HTTP, gRPC, goroutines and a queue, in every order, and what it must
// have kept at its end. It has no code of its own.
package e2e
