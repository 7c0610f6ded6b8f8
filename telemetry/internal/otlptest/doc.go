// SPDX-License-Identifier: Apache-2.0

// Package otlptest has an OTLP collector on loopback that remembers what it
// got. It speaks gRPC and HTTP/protobuf, and can be stopped and started again on
// the same address.
package otlptest
