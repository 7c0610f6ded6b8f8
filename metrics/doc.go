// SPDX-License-Identifier: Apache-2.0

// Package metrics makes the Prometheus metrics of RPC and HTTP calls.
package metrics
