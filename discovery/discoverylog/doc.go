// SPDX-License-Identifier: Apache-2.0

// Package discoverylog writes log lines of what discovery, balancers and health checks
// do.
//
//	log := discoverylog.New(logger)
//	watcher, err := discovery.NewWatcher(registry, namespace, discovery.WithObserver(log.Discovery()))
//	registry, err := multi.New(primary, fallback, multi.WithObserver(log.Fallback()))
//	checks, err := health.NewSet(health.WithObserver(log.Health()))
//
// There is a line when something changes, and none while it stays as it is: a registry
// that is away for an hour has one line per service when it goes and one when it is
// back, however often it was asked.
//
//	level  message                            attributes besides service and namespace
//	WARN   registry does not answer           origin, instances, error
//	INFO   registry answers again             instances
//	WARN   registry gives way to its fallback instances
//	WARN   instances are too old to be used   error
//	WARN   no instances                       origin, error
//	WARN   instances held                     hold, held, instances, for_ms
//	INFO   instances not held any more        instances
//	DEBUG  instances changed                  added, removed, changed, instances
//	WARN   entry skipped                      key, error
//	WARN   store failed                       error
//
//	INFO   registered                         id, ttl_ms
//	WARN   registration lost                  id, error
//	WARN   registration away                  id, error
//	INFO   registration back                  id
//	WARN   registration rests                 id, error, failures, next_ms
//	ERROR  registration conflict              id, error
//	INFO   deregistered                       id
//	WARN   not deregistered                   id, error
//	WARN   instance reports failing           id, reason
//	INFO   instance reports passing           id
//	DEBUG  time to live changed               id, from_ms, to_ms, reason
//
//	WARN   registry finding                   kind, member, detail
//	INFO   registry finding over              kind, member, after_ms
//	INFO   registry leader changed            leader
//	WARN   leftover                           kind, key, error
//	INFO   leftover removed                   kind, key
//	WARN   leftover not removed               kind, key, error
//	WARN   sweep failed                       error
//
//	WARN   moved to the fallback registry     id, took_ms, error
//	INFO   moved to the primary registry      id
//	WARN   no registry takes heartbeats       id, error
//	WARN   fallback not cleaned up            id, error
//
//	WARN   endpoint ejected                   id, address, reason, for_ms, times
//	WARN   endpoint unreachable               id, address, backoff_ms
//	INFO   endpoint back                      id, address, reason
//	WARN   ejections ignored                  usable, of
//	INFO   ejections count again              usable, of
//
//	WARN   not ready                          status, error
//	INFO   ready                              status
//	INFO   draining                           status
//	WARN   check failing                      check, state, error, latency_ms
//	INFO   check passing                      check, state, after_ms
//	DEBUG  check changed                      check, state, error
//
// # Bounds
//
// Of one message about one service there are at most 10 lines in 10 seconds. How many
// were left out is the attribute suppressed of the next one. Texts that a peer may have
// written are cut after 1024 bytes.
//
// # Concurrency
//
// Observers are safe for concurrent use. The logger's handler runs on the goroutine of
// whoever is observed.
package discoverylog
