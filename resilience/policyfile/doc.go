// SPDX-License-Identifier: Apache-2.0

// Package policyfile reads what package policies is told from a file, in YAML or JSON, so
// that operators can change it without a build.
//
//	opts, err := policyfile.ReadFile("policies.yaml")
//	…
//	set, err := policies.New(append(opts, policies.WithObserver(observer))...)
//
// testdata/full.yaml has every key, with what it means. In short:
//
//	defaults:                        # every downstream service
//	  retry: {per_try_timeout: 500ms}
//	services:
//	  payment:                       # one of them; adds to the defaults
//	    rate_limit: {limit: 100, burst: 20}
//	    bulkhead: {max: 50}
//	    methods:
//	      POST /charges: {retry: off}
//	      /shop.Payment/Get: {hedge: on}
//	server:                          # this process's own admission
//	  concurrency: {max: 200}
//	  shed: on
//
// Keys are the names of the options. A policy is off, on or a mapping; on and {} are its
// defaults, or what a layer before it has said. Durations have a unit: 200ms, 1m30s.
// Ratios are fractions: 0.5. Outcomes have the names of the resilience package. What
// counts is what package policies says: its layers, its sharing, its rules.
//
// # Strictness
//
// Whatever would have no effect is an error: an unknown key, one that is there twice, a
// value of another type, a number without a unit where there must be one, a second
// document, an empty file. So is whatever the policies themselves refuse: their rules are
// not repeated here but asked for. All errors are told at once, each with its position:
//
//	policies.yaml:4:17: services.payment.retry.max_attempts 0: must be at least 1, which is the first attempt
//	policies.yaml:9:5: services.payment.bulkead: unknown key: did you mean bulkhead?
//
// Anchors and aliases may be used; merge keys (<<) may not, since layers do the same.
// A file is at most 256 KiB long, and bounded in what its aliases come to.
//
// # What is not in a file
//
// What is code: observers, classifiers, priorities, a CPU reader, a budget that is shared
// between services.
package policyfile
