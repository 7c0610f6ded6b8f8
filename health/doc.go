// SPDX-License-Identifier: Apache-2.0

// Package health answers whether a process is alive and whether it can take
// requests, from one [Set] of checks.
//
//	checks, err := health.NewSet()
//	err = checks.Add("db", health.SQL(db))
//	err = checks.Add("redis", health.Redis(rdb), health.Optional)
//	beat, err := checks.Watch("consumer", 10*time.Second)
//	checks.Start()
//	defer checks.Close()
//
//	mux.Handle("GET /livez", checks.Livez())
//	mux.Handle("GET /readyz", checks.Readyz())
//	registrar, err := discovery.NewRegistrar(registry, namespace, instance, discovery.WithHealth(checks.Check))
//	defer checks.Subscribe(registrar.Refresh)()
//
// # Decisions
//
//   - Checks run by themselves, each on its own goroutine and schedule. A hundred probers
//     cost a database nothing, and none of them waits for it.
//   - A set that was not started runs nothing and is not ready. There is no second way of
//     running a check, at the request of whoever asks.
//   - A check that ignores its context is left behind: it is "stuck" until it returns, and
//     does not run again before. It holds up no other.
//   - What counts is damped ([WithDamping]); what was last seen is shown besides. A process
//     that goes in and out of rotation costs more than one that is out of it for a while.
//   - Results get old. If they should be newer, the process does not get round to its
//     checks: it is not ready, with its port open and its last results good.
//   - A dependency that is down never makes a process look dead: whoever restarts
//     processes for that has two outages. Only a goroutine of its own can
//     ([Set.Watch] with [Vital]).
//   - What checks return is for logs. Bodies have states and latencies, unless
//     [WithErrors] says otherwise.
//
// # What it is not
//
// It is no monitoring: it keeps the last result, and tells an [Observer] of each. It
// mends nothing and restarts nothing. It knows no transport but net/http; package
// grpchealth gives gRPC's health service the same source.
//
// # Concurrency
//
// Sets and beats are safe for concurrent use. A set has one goroutine for each check and
// each watchdog, and another while a check runs, from [Set.Start] to [Set.Close].
package health
