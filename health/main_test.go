// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exact makes a set without jitter, which is closed at the end of the test.
func exact(t testing.TB, opts ...health.SetOption) *health.Set {
	t.Helper()
	s, err := health.NewSet(append([]health.SetOption{health.WithJitter(0)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func add(t testing.TB, s *health.Set, name string, check health.Check, opts ...health.Option) {
	t.Helper()
	if err := s.Add(name, check, opts...); err != nil {
		t.Fatal(err)
	}
}

// result returns what is known of one check.
func result(t testing.TB, s *health.Set, name string) health.Result {
	t.Helper()
	all := s.Results()
	i := slices.IndexFunc(all, func(r health.Result) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("there is no check %q", name)
	}
	return all[i]
}

func passes(context.Context) error { return nil }

// slowly makes a check take a millisecond, so that there is a time before its result.
func slowly(check health.Check) health.Check {
	return func(ctx context.Context) error {
		time.Sleep(time.Millisecond)
		return check(ctx)
	}
}

var errDown = errors.New("connection refused by 10.0.0.7")

// dependency is one that is as it is told, and remembers when it was asked.
type dependency struct {
	mu    sync.Mutex
	began time.Time
	err   error
	asked []time.Duration
	as    func(n int) error // see play
}

func newDependency(err error) *dependency { return &dependency{began: time.Now(), err: err} }

func (d *dependency) set(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// play sets what each run finds, by its number from 1.
func (d *dependency) play(as func(n int) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.as = as
}

func (d *dependency) check(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, time.Since(d.began))
	if d.as != nil {
		return d.as(len(d.asked))
	}
	return d.err
}

func (d *dependency) times() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.asked)
}

const (
	ms  = time.Millisecond
	sec = time.Second
)
