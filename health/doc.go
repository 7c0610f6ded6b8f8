// SPDX-License-Identifier: Apache-2.0

// Package health answers whether a process is alive and whether it can take
// requests, from one [Set] of checks.
//
//	checks := health.NewSet()
//	_ = checks.Add("db", db.PingContext)
//	mux.Handle("GET /livez", checks.Livez())
//	mux.Handle("GET /readyz", checks.Readyz())
//
// A result is kept for a while, so that a prober, or a hundred of them, never
// hammers the database. What a failing check says is for the log, not for the
// prober: the body has the state and the latency of each dependency.
//
// The package knows no transport but net/http, and starts no goroutine: a
// check runs when somebody asks and the last result is too old.
package health
