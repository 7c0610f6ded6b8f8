// SPDX-License-Identifier: Apache-2.0

package health

import "context"

// Redis returns a check that pings a Redis server, or whatever else has a client of this
// shape: those of go-redis (Client, ClusterClient, Ring, UniversalClient) have. T need
// not be given. A nil client gives a nil Check, which [Set.Add] refuses.
//
//	checks.Add("redis", health.Redis(rdb))
func Redis[T interface{ Err() error }](client interface{ Ping(ctx context.Context) T }) Check {
	if client == nil {
		return nil
	}
	return func(ctx context.Context) error { return client.Ping(ctx).Err() }
}
