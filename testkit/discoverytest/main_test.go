// SPDX-License-Identifier: Apache-2.0

package discoverytest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a test that may fail.
type recorder struct {
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// check plays a rule and returns what it found.
func check(t *testing.T, rule discoverytest.Rule, h *discoverytest.Harness) []string {
	t.Helper()
	r, played := &recorder{}, true
	done := make(chan struct{})
	go func() {
		defer close(done)
		played = discoverytest.Check(r, rule, h)
	}()
	<-done
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
	time.Sleep(2 * time.Hour) // in a bubble: what was leaked on purpose ends
	if !played {
		t.Fatalf("%s was not played", rule)
	}
	return r.failures
}

// harness plays every fault on a registry in memory, some of them as others, and puts b
// in front of it.
func harness(b *bent) *discoverytest.Harness {
	r := memory.New()
	b.Backend = r
	f, texts := r.Faults(), 0
	switched := func(set func(bool)) discoverytest.Play {
		return func(discoverytest.TB) func() { set(true); return func() { set(false) } }
	}
	once := func(f func()) discoverytest.Play {
		return func(discoverytest.TB) func() { f(); return func() {} }
	}
	return &discoverytest.Harness{
		Registry: b, Catalog: b,
		PutRaw: func(q discovery.Query, text []byte) error {
			texts++
			f.Put(q, fmt.Sprint("raw-", texts), text)
			return nil
		},
		Faults: map[discoverytest.Fault]discoverytest.Play{
			discoverytest.Outage: switched(f.Down), discoverytest.LeaderLoss: switched(f.Down), discoverytest.AuthExpiry: switched(f.Down),
			discoverytest.Hang: switched(f.Hang), discoverytest.Empty: switched(f.Hide),
			discoverytest.Disconnect: once(f.Cut), discoverytest.Compaction: once(f.Cut), discoverytest.IndexReset: once(f.Cut),
			discoverytest.Forget: once(f.Forget), discoverytest.LeaseLoss: once(f.Forget), discoverytest.UnknownCheck: once(f.Forget), discoverytest.Restart: once(f.Forget),
			discoverytest.Slow: func(discoverytest.TB) func() { f.Slow(500 * time.Millisecond); return func() { f.Slow(0) } },
			discoverytest.Flap: func(discoverytest.TB) func() {
				for n := range 7 {
					time.AfterFunc(time.Duration(n)*300*time.Millisecond, func() { f.Hide(n%2 == 0) })
				}
				return func() { f.Hide(false) }
			},
		},
	}
}

func containsAny(failures []string, want string) bool {
	return slices.ContainsFunc(failures, func(f string) bool { return strings.Contains(f, want) })
}
