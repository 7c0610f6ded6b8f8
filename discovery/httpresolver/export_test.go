// SPDX-License-Identifier: Apache-2.0

package httpresolver

// What tests look at.
var RetryAfter = retryAfter

// Its bounds.
const (
	MaxTries      = maxTries
	MaxRetryAfter = maxRetryAfter
)
