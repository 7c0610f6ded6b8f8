// SPDX-License-Identifier: Apache-2.0

// Package fallback stands in for a call that failed with a degraded reply of the
// same type.
//
//	popular, err := fallback.New("recommendations", func(ctx context.Context, err error) ([]Item, error) {
//		return cache.Popular(ctx)
//	})
//	…
//	items, degraded, err := popular.Do(ctx, client.Recommend)
//
// That a reply is degraded is never hidden: the caller is told, and so is the
// observer, from which span, log line and metric know it.
//
// By default a fallback stands in for what the downstream service or a policy of
// ours did: server faults, transient faults, overload, timeouts and refusals. It
// does not for a fault of the request, which would be wrong elsewhere as well, nor
// for a caller's deadline that passed. It never does for a caller who gave up:
// nobody is there to take the reply.
//
// It is the outermost policy of a call, around retries: it is asked once, when all
// else has failed, and with the caller's context. It keeps no replies: it is not a
// cache.
package fallback
