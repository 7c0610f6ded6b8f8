// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The defaults of a check.
const (
	// DefaultTimeout is how long a check may take.
	DefaultTimeout = time.Second
	// DefaultMaxAge is how long a result is good for.
	DefaultMaxAge = time.Second
)

// Check asks a dependency whether it works. It must return when ctx ends.
type Check func(ctx context.Context) error

// Set is the checks of one process, and whether it wants requests. It is safe
// for concurrent use; make it with [NewSet].
type Set struct {
	stopping atomic.Bool
	mu       sync.Mutex
	checks   []*check
}

// check is one dependency and the last that was heard of it.
type check struct {
	name     string
	run      Check
	timeout  time.Duration
	maxAge   time.Duration
	optional bool

	mu   sync.Mutex // held while the check runs: askers share one run
	last Result
}

// Result is what one check found.
type Result struct {
	Name string
	// State is "ok", "timeout" or "error".
	State string
	// Err is what the check returned.
	Err     error
	Latency time.Duration
	At      time.Time
	// Optional says that failing does not make the process unready.
	Optional bool
}

// Option configures a check.
type Option interface{ apply(*check) error }

type optionFunc func(*check) error

func (f optionFunc) apply(c *check) error { return f(c) }

// WithTimeout sets how long the check may take; the default is [DefaultTimeout].
func WithTimeout(d time.Duration) Option {
	return optionFunc(func(c *check) error {
		c.timeout = d
		return positive("WithTimeout", d)
	})
}

// WithMaxAge sets how long a result is good for; the default is [DefaultMaxAge].
func WithMaxAge(d time.Duration) Option {
	return optionFunc(func(c *check) error {
		c.maxAge = d
		return positive("WithMaxAge", d)
	})
}

// Optional makes a check that is shown, but does not make the process unready.
func Optional() Option {
	return optionFunc(func(c *check) error { c.optional = true; return nil })
}

func positive(option string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s: %v is not positive", option, d)
	}
	return nil
}

// NewSet returns a set without checks, which is ready.
func NewSet() *Set { return &Set{} }

// Add adds a check. name is its key in the body ("db" gives "db" and
// "db_ping_ms"); it must be new.
func (s *Set) Add(name string, run Check, opts ...Option) error {
	c := &check{name: name, run: run, timeout: DefaultTimeout, maxAge: DefaultMaxAge}
	var errs []error
	if name == "" || name == "status" || name == "time" {
		errs = append(errs, fmt.Errorf("name %q is empty or reserved", name))
	}
	if run == nil {
		errs = append(errs, errors.New("nil check"))
	}
	for _, o := range opts {
		errs = append(errs, o.apply(c))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.checks, func(o *check) bool { return o.name == name }) {
		errs = append(errs, errors.New("there is a check of that name already"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("health: Add %q: %w", name, err)
	}
	s.checks = append(s.checks, c)
	return nil
}

// Stop makes the process unready for good: it is about to end.
func (s *Set) Stop() { s.stopping.Store(true) }

// Stopping reports whether Stop was called.
func (s *Set) Stopping() bool { return s.stopping.Load() }

// Results runs the checks whose results are too old, side by side, and returns
// all results in the order in which the checks were added.
func (s *Set) Results(ctx context.Context) []Result {
	s.mu.Lock()
	checks := slices.Clone(s.checks)
	s.mu.Unlock()
	results := make([]Result, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { results[i] = c.result(ctx) })
	}
	wg.Wait()
	return results
}

// Ready reports whether the process can take requests: it is not stopping and
// no check fails that matters.
func (s *Set) Ready(ctx context.Context) bool { return s.ready(s.Results(ctx)) }

func (s *Set) ready(results []Result) bool {
	return !s.Stopping() && !slices.ContainsFunc(results, func(r Result) bool { return !r.Optional && r.State != "ok" })
}

// Livez answers 200 for as long as the process can answer.
func (s *Set) Livez() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeBody(w, true, nil)
	})
}

// Readyz answers 200 if the process can take requests, otherwise 503, with the
// state of each dependency.
func (s *Set) Readyz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		results := s.Results(r.Context())
		writeBody(w, s.ready(results), results)
	})
}

func writeBody(w http.ResponseWriter, ok bool, results []Result) {
	body := map[string]any{"status": "ok", "time": time.Now().UTC().Format(time.RFC3339Nano)}
	code := http.StatusOK
	if !ok {
		body["status"] = "unavailable"
		code = http.StatusServiceUnavailable
	}
	for _, r := range results {
		body[r.Name] = r.State
		body[r.Name+"_ping_ms"] = float64(r.Latency.Microseconds()) / 1000
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the prober is gone if this fails
}

// result returns the last result, or a new one if that is too old.
func (c *check) result(ctx context.Context) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.At.IsZero() && time.Since(c.last.At) < c.maxAge {
		return c.last
	}
	// The prober's own impatience must not become the others' answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	start := time.Now()
	err := c.safely(ctx)
	r := Result{Name: c.name, State: "ok", Err: err, Latency: time.Since(start), At: time.Now(), Optional: c.optional}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		r.State = "timeout"
	case err != nil:
		r.State = "error"
	}
	c.last = r
	return r
}

// safely runs the check; one that panics has failed.
func (c *check) safely(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("health: check %q panicked: %v", c.name, v)
		}
	}()
	return c.run(ctx)
}
