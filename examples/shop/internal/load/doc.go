// SPDX-License-Identifier: Apache-2.0

// Package load plays the shop's customers: a bounded mix of good orders, bad
// ones, impatient people, the warehouse, and strangers who try every door.
//
//	stats := load.NewStats()
//	gen, err := load.New(load.Config{Gateway: "http://127.0.0.1:8080", Order: "127.0.0.1:9090", Requests: 2000}, stats)
//	err = gen.Run(ctx) // stops starting requests when ctx ends, and waits for those under way
//	fmt.Println(stats.Snapshot().Quantile(0.99))
//
// Customers are outside of the shop: they use plain clients and know nothing of
// Fairlead. What they can see they check: every scenario says which outcome it
// expects, and an answer without a trace id, or with one that is not the
// customer's own, is an unexpected outcome like any other.
package load
