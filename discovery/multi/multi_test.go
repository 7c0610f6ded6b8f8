// SPDX-License-Identifier: Apache-2.0

package multi_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/multi"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var orders = discovery.Query{Namespace: "prod", Service: "order"}

func order(n int) discovery.Instance {
	return discovery.Instance{Namespace: "prod", Service: "order", Address: fmt.Sprintf("10.0.%d.%d:80", n/256, n%256)}
}

// log collects what an observer is told.
type log struct {
	mu       sync.Mutex
	switches []multi.Switch
	away     []multi.Away
	cleaned  []error
}

func (l *log) observer() multi.Option {
	return multi.WithObserver(multi.Observer{
		Switched:  func(s multi.Switch) { l.mu.Lock(); defer l.mu.Unlock(); l.switches = append(l.switches, s) },
		Away:      func(a multi.Away) { l.mu.Lock(); defer l.mu.Unlock(); l.away = append(l.away, a) },
		CleanedUp: func(_ discovery.Key, err error) { l.mu.Lock(); defer l.mu.Unlock(); l.cleaned = append(l.cleaned, err) },
	})
}

// told returns what was told so far.
func (l *log) told() (switches []multi.Switch, away []multi.Away, cleaned []error) {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.switches), slices.Clone(l.away), slices.Clone(l.cleaned)
}

// world is two registries and what is made of them.
type world struct {
	log
	primary, fallback *memory.Registry
	backend           *multi.Backend
}

func newWorld(t testing.TB, opts ...multi.Option) *world {
	t.Helper()
	w := &world{primary: memory.New(), fallback: memory.New()}
	var err error
	if w.backend, err = multi.New(w.primary, w.fallback, append(opts, w.observer())...); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) registrar(t testing.TB, n int, opts ...discovery.RegistrarOption) *discovery.Registrar {
	t.Helper()
	r, err := discovery.NewRegistrar(w.backend, "prod", order(n), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) subscribe(t testing.TB) *discovery.Subscription {
	t.Helper()
	watcher, err := discovery.NewWatcher(w.backend, "prod")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watcher.Close() })
	sub, err := watcher.Subscribe(orders, nil)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func (w *world) want(t testing.TB, primary, fallback int) {
	t.Helper()
	synctest.Wait()
	if p, f := len(w.primary.Instances(orders)), len(w.fallback.Instances(orders)); p != primary || f != fallback {
		t.Errorf("%d in the primary, %d in the fallback; want %d, %d", p, f, primary, fallback)
	}
}

func deregister(t testing.TB, r *discovery.Registrar) {
	t.Helper()
	if err := r.Deregister(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		primary, fallback := memory.New(), memory.New()
		b, err := multi.New(primary, fallback, multi.WithCallTimeout(700*time.Millisecond), multi.WithProbeInterval(time.Second), multi.WithReconcileTime(time.Second))
		if err != nil {
			t.Fatalf("%v", err)
		}
		both := func(set func(memory.Faults, bool)) discoverytest.Play {
			return func(discoverytest.TB) func() {
				set(primary.Faults(), true)
				set(fallback.Faults(), true)
				return func() { set(primary.Faults(), false); set(fallback.Faults(), false) }
			}
		}
		texts := 0
		return &discoverytest.Harness{
			Registry: b, Catalog: b,
			PutRaw: func(q discovery.Query, text []byte) error {
				texts++
				primary.Faults().Put(q, fmt.Sprint("raw-", texts), text)
				return nil
			},
			Faults: map[discoverytest.Fault]discoverytest.Play{
				discoverytest.Outage: both(memory.Faults.Down),
				discoverytest.Hang:   both(memory.Faults.Hang),
				discoverytest.Empty:  both(memory.Faults.Hide),
				// The primary alone: who watches moves before all have registered.
				discoverytest.LeaderLoss: func(discoverytest.TB) func() {
					primary.Faults().Down(true)
					return func() { primary.Faults().Down(false) }
				},
				discoverytest.Restart: func(discoverytest.TB) func() {
					primary.Faults().Down(true)
					primary.Faults().Forget()
					return func() { primary.Faults().Down(false) }
				},
				discoverytest.Disconnect: func(discoverytest.TB) func() { primary.Faults().Cut(); return func() {} },
				discoverytest.Forget:     func(discoverytest.TB) func() { primary.Faults().Forget(); return func() {} },
				discoverytest.Slow: func(discoverytest.TB) func() {
					primary.Faults().Slow(200 * time.Millisecond)
					return func() { primary.Faults().Slow(0) }
				},
			},
			Settle: 10 * time.Second,
		}
	}, discoverytest.InBubble())
}

// TestSwitchTime: from the first call that fails to the fallback, at most 1.2 s.
func TestSwitchTime(t *testing.T) {
	for name, fault := range map[string]func(memory.Faults){
		"refuses": func(f memory.Faults) { f.Down(true) },
		"hangs":   func(f memory.Faults) { f.Hang(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				r := w.registrar(t, 1, discovery.WithJitter(0))
				defer deregister(t, r)
				time.Sleep(time.Second)
				w.want(t, 1, 0)
				fault(w.primary.Faults())
				time.Sleep(4 * time.Second) // the next heartbeat
				time.Sleep(1200 * time.Millisecond)
				w.want(t, 1, 1)
				want := 100 * time.Millisecond
				if name == "hangs" {
					want = 1100 * time.Millisecond
				}
				moves, _, _ := w.told()
				if len(moves) != 1 || moves[0].Took != want || !moves[0].ToFallback || moves[0].ID != r.Instance().ID || moves[0].Err == nil {
					t.Errorf("switches %+v, want one after %v", moves, want)
				}
				if got := r.Status().TTL; got != 7500*time.Millisecond {
					t.Errorf("TTL %v in the fallback, want half of 15s", got)
				}
				w.primary.Faults().Down(false)
				w.primary.Faults().Hang(false)
			})
		})
	}
}

// TestBothAway: heartbeats are kept, and the latest one is what the first registry that
// is back is told.
func TestBothAway(t *testing.T) {
	for name, back := range map[string]func(*world){
		"the primary first":  func(w *world) { w.primary.Faults().Down(false) },
		"the fallback first": func(w *world) { w.fallback.Faults().Down(false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var mu sync.Mutex
				var health error
				r := w.registrar(t, 1, discovery.WithHealth(func(context.Context) error { mu.Lock(); defer mu.Unlock(); return health }))
				defer func() {
					w.primary.Faults().Down(false)
					w.fallback.Faults().Down(false)
					deregister(t, r)
				}()
				sub := w.subscribe(t)
				if err := sub.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.primary.Faults().Down(true)
				w.fallback.Faults().Down(true)
				time.Sleep(time.Minute)
				mu.Lock()
				health = errors.New("database is away")
				mu.Unlock()
				time.Sleep(4 * time.Minute)
				_, away, _ := w.told()
				last := away[len(away)-1]
				if last.Heartbeats != len(away) || last.Heartbeats < 50 || last.Health != discovery.HealthFailing || time.Since(last.Since) < 4*time.Minute+45*time.Second {
					t.Errorf("kept %+v of %d", last, len(away))
				}
				if st := r.Status(); !errors.Is(st.Err, multi.ErrAway) || !errors.Is(st.Err, memory.ErrAway) || !strings.Contains(st.Err.Error(), "heartbeats of prod/order/order@10.0.0.1:80 are kept") {
					t.Errorf("status %+v", st)
				}
				if s := sub.Snapshot(); s.Instances.Len() != 1 || s.Origin != discovery.OriginLastKnownGood {
					t.Errorf("callers see %+v", s)
				}
				back(w)
				time.Sleep(5 * time.Second) // the longest back-off
				synctest.Wait()
				all := append(w.primary.Instances(orders), w.fallback.Instances(orders)...)
				if len(all) != 1 || all[0].Health != discovery.HealthFailing {
					t.Errorf("registered: %v", all)
				}
				// The next time is another time.
				w.primary.Faults().Down(true)
				w.fallback.Faults().Down(true)
				time.Sleep(20 * time.Second)
				if _, away, _ := w.told(); time.Since(away[len(away)-1].Since) > 20*time.Second || away[len(away)-1].Heartbeats > 20 {
					t.Errorf("kept %+v", away[len(away)-1])
				}
			})
		})
	}
}

// TestReconciliationIsSpread: two hundred registrations do not move back at once.
func TestReconciliationIsSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const n = 200
		var all []*discovery.Registrar
		for i := range n {
			all = append(all, w.registrar(t, i))
		}
		time.Sleep(time.Minute)
		w.primary.Faults().Down(true)
		time.Sleep(5 * time.Minute)
		w.want(t, 0, n)
		w.primary.Faults().Down(false)
		most, before := 0, 0
		for range 900 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			now := len(w.primary.Instances(orders))
			most, before = max(most, now-before), now
		}
		w.want(t, n, 0)
		if most > n/10 {
			t.Errorf("%d of %d moved back in a tenth of a second", most, n)
		}
		for _, r := range all {
			deregister(t, r)
		}
		w.want(t, 0, 0)
	})
}

// TestReconciliationHasJitter: registrations whose heartbeats are in step move back out
// of step.
func TestReconciliationHasJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, multi.WithRetryDelay(0))
		const n = 100
		var all []discovery.Registration
		for i := range n {
			r, err := w.backend.Registration(order(i))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Register(t.Context(), time.Minute, discovery.HealthPassing); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
		beat := func() {
			for _, r := range all {
				if _, err := r.Heartbeat(t.Context(), discovery.HealthPassing); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.primary.Faults().Down(true)
		w.primary.Faults().Forget()
		beat()
		w.primary.Faults().Down(false)
		most, before := 0, 0
		for range 50 {
			time.Sleep(time.Second)
			beat()
			now := len(w.primary.Instances(orders))
			most, before = max(most, now-before), now
		}
		if before != n || most > n/3 {
			t.Errorf("%d moved back, up to %d in a second", before, most)
		}
	})
}

// TestShortTTL: a caller that has less time than two calls and a delay take is moved as
// well.
func TestShortTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.registrar(t, 1, discovery.WithTTL(2*time.Second))
		time.Sleep(time.Second)
		w.primary.Faults().Hang(true)
		time.Sleep(2 * time.Second)
		w.want(t, 0, 1)
		w.primary.Faults().Hang(false)
		deregister(t, r)
	})
}

// TestCleanUpFails: an entry that cannot be taken out of the fallback ends by itself.
func TestCleanUpFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, multi.WithReconcileTime(0))
		r := w.registrar(t, 1)
		time.Sleep(time.Second)
		w.primary.Faults().Down(true)
		time.Sleep(time.Minute)
		w.want(t, 0, 1)
		w.primary.Faults().Down(false)
		for moves, _, _ := w.told(); len(moves) < 2; moves, _, _ = w.told() {
			time.Sleep(time.Second)
		}
		// For three probe intervals, it is in both.
		time.Sleep(28 * time.Second)
		w.want(t, 1, 1)
		w.fallback.Faults().Down(true)
		time.Sleep(12 * time.Second)
		w.want(t, 1, 0)
		if _, _, cleaned := w.told(); len(cleaned) == 0 || cleaned[0] == nil {
			t.Errorf("told of %v", cleaned)
		}
		deregister(t, r) // there is nothing left in the fallback, which is away
	})
}

// TestDeregisterWhileAway leaves nothing in either.
func TestDeregisterWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.registrar(t, 1, discovery.WithTTL(time.Minute))
		time.Sleep(time.Second)
		w.primary.Faults().Down(true)
		time.Sleep(25 * time.Second)
		w.want(t, 1, 1)
		err := r.Deregister(t.Context())
		if !errors.Is(err, memory.ErrAway) {
			t.Errorf("the primary still has it: %v", err)
		}
		w.want(t, 1, 0)
		w.primary.Faults().Down(false)
		deregister(t, r)
		w.want(t, 0, 0)
	})
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		opt  multi.Option
		want string
	}{
		{multi.WithCallTimeout(0), "call timeout 0s: must be positive"},
		{multi.WithRetryDelay(-1), "retry delay -1ns: must be 0 or more"},
		{multi.WithProbeInterval(0), "probe interval 0s: must be positive"},
		{multi.WithReconcileTime(-1), "reconcile time -1ns: must be 0 or more"},
		{multi.WithFallbackTTL(1.5), "fallback TTL 1.5: must be more than 0 and at most 1"},
	} {
		if _, err := multi.New(memory.New(), memory.New(), tc.opt); err == nil || !strings.Contains(err.Error(), "multi: "+tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}

// ExampleNew goes on when the primary is away.
func ExampleNew() {
	primary, elsewhere := memory.New(), memory.New()
	registry, err := multi.New(primary, elsewhere, multi.WithObserver(multi.Observer{
		Switched: func(s multi.Switch) { fmt.Println(s.ID, "to the fallback:", s.ToFallback) },
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	primary.Faults().Down(true)
	registrar, err := discovery.NewRegistrar(registry, "dev", discovery.Instance{Service: "order", Address: "10.0.0.7:80"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(registrar.Ready(context.Background()), registrar.Status().TTL)
	primary.Faults().Down(false)
	fmt.Println(registrar.Deregister(context.Background()))
	// Output:
	// order@10.0.0.7:80 to the fallback: true
	// <nil> 7.5s
	// <nil>
}
