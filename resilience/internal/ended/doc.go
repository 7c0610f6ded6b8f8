// SPDX-License-Identifier: Apache-2.0

// Package ended says how a call ended that knows neither gRPC nor HTTP: by its
// error and by whose doing its context ended. It is what the policies fall back
// to where nobody gave them a classifier; the adapters do, from their tables.
package ended
