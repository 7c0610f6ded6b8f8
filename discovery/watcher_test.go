// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// world is a registry, a watcher of it and one subscription to the service order, in a
// bubble.
type world struct {
	t        *testing.T
	registry *memory.Registry
	watcher  *discovery.Watcher
	sub      *discovery.Subscription
}

// inWorld plays f in a world without jitter.
func inWorld(t *testing.T, f func(t *testing.T, w *world), opts ...discovery.WatcherOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, registry: memory.New()}
		opts := append([]discovery.WatcherOption{discovery.WithJitter(0)}, opts...)
		w.watcher = must[*discovery.Watcher](t)(discovery.NewWatcher(w.registry, prod, opts...))
		defer w.watcher.Close()
		w.sub = must[*discovery.Subscription](t)(w.watcher.Subscribe(orders, nil))
		f(t, w)
	})
}

// put registers instances of order for an hour.
func (w *world) put(numbers ...int) {
	w.t.Helper()
	for _, n := range numbers {
		w.register(order(n))
	}
	synctest.Wait()
}

func (w *world) register(in discovery.Instance) {
	w.t.Helper()
	r := must[discovery.Registration](w.t)(w.registry.Registration(in))
	if _, err := r.Register(w.t.Context(), time.Hour, in.Health); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(numbers ...int) {
	w.t.Helper()
	for _, n := range numbers {
		r := must[discovery.Registration](w.t)(w.registry.Registration(order(n)))
		if err := r.Deregister(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
}

// want compares what callers see.
func (w *world) want(origin discovery.Origin, hold discovery.Hold, numbers ...int) *discovery.Snapshot {
	w.t.Helper()
	synctest.Wait()
	s := w.sub.Snapshot()
	var want []string
	for _, n := range numbers {
		want = append(want, order(n).ID)
	}
	wantIDs(w.t, s.Instances, want...)
	if s.Origin != origin || s.Hold != hold {
		w.t.Errorf("%s, hold %s; want %s, %s", s.Origin, s.Hold, origin, hold)
	}
	return s
}

const (
	live     = discovery.OriginLive
	lastGood = discovery.OriginLastKnownGood
	none     = discovery.HoldNone
)

func TestWatcherDeliversChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		s := must[*discovery.Snapshot](t)(w.sub.Next(ctx))
		if s.Version != 1 || s.Instances.Len() != 0 || s.Origin != live || !errors.Is(s.Problem(), discovery.ErrNoInstances) {
			t.Errorf("first snapshot %+v, %v", s, s.Problem())
		}
		w.put(1, 2)
		s = must[*discovery.Snapshot](t)(w.sub.Next(ctx))
		wantIDs(t, s.Instances, "order-00001", "order-00002")
		if s.Problem() != nil || !s.At.Equal(time.Now()) {
			t.Errorf("problem %v, at %v", s.Problem(), s.At)
		}
		// The same again is no news.
		version := s.Version
		w.put(1, 2)
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if s, err := w.sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the same registration again delivered %v, %v", s, err)
		}
		if got := w.sub.Snapshot().Version; got != version {
			t.Errorf("version %d, want %d", got, version)
		}
		w.remove(1)
		wantIDs(t, must[*discovery.Snapshot](t)(w.sub.Next(t.Context())).Instances, "order-00002")
	})
}

func TestSlowSubscriberGetsTheLatest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before := must[*discovery.Snapshot](t)(w.sub.Next(t.Context()))
		for n := range 100 {
			w.put(n)
		}
		w.remove(0)
		after := must[*discovery.Snapshot](t)(w.sub.Next(t.Context()))
		if d := after.Instances.Diff(before.Instances); len(d.Added) != 99 {
			t.Errorf("%d added, want 99", len(d.Added))
		}
		if after.Version < 100 {
			t.Errorf("version %d: it counts what was delivered to nobody, too", after.Version)
		}
	})
}

func TestNotify(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		synctest.Wait() // there are none yet: that is the first version
		w.put(1)
		var got []string
		note := func(s *discovery.Snapshot) { got = append(got, fmt.Sprint(s.Version, ids(s.Instances))) }
		sub := must[*discovery.Subscription](t)(w.watcher.Subscribe(orders, note))
		if len(got) != 1 {
			t.Fatalf("%d calls before Subscribe returned, want 1", len(got))
		}
		w.put(2)
		sub.Close()
		sub.Close()
		w.put(3)
		if want := "[2 [order-00001] 3 [order-00001 order-00002]]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		if _, err := sub.Next(t.Context()); err != nil {
			t.Errorf("the present snapshot after Close: %v", err)
		}
		if _, err := sub.Next(t.Context()); !errors.Is(err, discovery.ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
	})
}

// TestNotifyMayCall: a notify function is not called with a lock held that anything it
// may call needs.
func TestNotifyMayCall(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var mine atomic.Pointer[discovery.Subscription] // which may be told before it is here
		var calls atomic.Int32
		mine.Store(must[*discovery.Subscription](t)(w.watcher.Subscribe(orders, func(*discovery.Snapshot) {
			calls.Add(1)
			sub := mine.Load()
			if sub == nil {
				return
			}
			other, err := w.watcher.Subscribe(orders, func(*discovery.Snapshot) {})
			if err != nil {
				t.Error(err)
			}
			w.watcher.Status()
			sub.Snapshot()
			sub.Refresh()
			other.Close()
			sub.Close()
		})))
		w.put(1)
		if calls.Load() == 0 {
			t.Error("not called")
		}
	})
}

// TestNotifyInOrder: who subscribes while things change hears of each once, and in
// order.
func TestNotifyInOrder(t *testing.T) {
	registry := memory.New()
	watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(registry, prod))
	defer watcher.Close()
	w := &world{t: t, registry: registry}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 2000 {
			in := order(n % 50)
			in.Weight = 1 + n
			w.register(in)
		}
	}()
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		default:
		}
		var mu sync.Mutex
		last := &discovery.Snapshot{}
		sub := must[*discovery.Subscription](t)(watcher.Subscribe(orders, func(s *discovery.Snapshot) {
			mu.Lock()
			defer mu.Unlock()
			if s.Version < last.Version || s.Version == last.Version && s.Origin == last.Origin {
				t.Errorf("version %d, %s after %d, %s", s.Version, s.Origin, last.Version, last.Origin)
			}
			last = s
		}))
		if err := sub.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		sub.Close()
	}
}

func TestServicesAreShared(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		counting := &counter{Catalog: w.registry}
		watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(counting, prod))
		defer watcher.Close()
		var subs []*discovery.Subscription
		for range 50 {
			subs = append(subs, must[*discovery.Subscription](t)(watcher.Subscribe(orders, nil)))
		}
		synctest.Wait()
		if got := counting.opened(); got != 1 {
			t.Errorf("%d watches for 50 subscribers, want 1", got)
		}
		if st := watcher.Status(); len(st) != 1 || st[0].Subscribers != 50 {
			t.Errorf("status %+v", st)
		}
		for _, s := range subs {
			s.Close()
		}
		synctest.Wait()
		if got := counting.closed(); got != 1 || len(watcher.Status()) != 0 {
			t.Errorf("%d watches closed after the last subscriber, want 1", got)
		}
	})
}

// counter counts the sources of a catalog.
type counter struct {
	discovery.Catalog
	mu         sync.Mutex
	open, shut int
}

func (c *counter) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	s, err := c.Catalog.Watch(ctx, q)
	if err == nil {
		c.mu.Lock()
		c.open++
		c.mu.Unlock()
	}
	return &countedSource{s, c}, err
}

func (c *counter) opened() int { c.mu.Lock(); defer c.mu.Unlock(); return c.open }
func (c *counter) closed() int { c.mu.Lock(); defer c.mu.Unlock(); return c.shut }

type countedSource struct {
	discovery.Source
	c *counter
}

func (s *countedSource) Close() error {
	s.c.mu.Lock()
	s.c.shut++
	s.c.mu.Unlock()
	return s.Source.Close()
}

func TestForeignNamespaceIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, q := range []discovery.Query{{Namespace: "prod2", Service: "order"}, {Namespace: "dev", Service: "order"}} {
			if _, err := w.watcher.Subscribe(q, nil); !errors.Is(err, discovery.ErrForeignNamespace) {
				t.Errorf("%s: %v", q, err)
			}
		}
		for _, q := range []discovery.Query{{Service: "order"}, {Namespace: prod}, {Namespace: "prod/..", Service: "order"}} {
			if _, err := w.watcher.Subscribe(q, nil); err == nil || errors.Is(err, discovery.ErrForeignNamespace) {
				t.Errorf("%s: %v", q, err)
			}
		}
	})
}

// leaky is a back end that mixes things up.
type leaky struct {
	discovery.Catalog
	add discovery.Update
}

func (l leaky) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	s, err := l.Catalog.Watch(ctx, q)
	return leakySource{s, l}, err
}

type leakySource struct {
	discovery.Source
	l leaky
}

func (s leakySource) Next(ctx context.Context) (discovery.Update, error) {
	u, err := s.Source.Next(ctx)
	u.Put = append(u.Put, s.l.add.Put...)
	u.Malformed = append(u.Malformed, s.l.add.Malformed...)
	return u, err
}

func TestWhatDoesNotBelongIsSkippedOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		foreign, other := order(7), order(8)
		foreign.Namespace, other.Service = "dev", "payment"
		l := leaky{w.registry, discovery.Update{
			Put:       []discovery.Instance{foreign, other},
			Malformed: []discovery.Malformed{{Key: "prod/order/x", Err: errors.New("no JSON")}},
		}}
		var skipped []string
		watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(l, prod, discovery.WithObserver(discovery.Observer{
			Skipped: func(s discovery.Skipped) { skipped = append(skipped, s.Key) },
		})))
		defer watcher.Close()
		sub := must[*discovery.Subscription](t)(watcher.Subscribe(orders, nil))
		w.put(1)
		w.put(2)
		wantIDs(t, sub.Snapshot().Instances, "order-00001", "order-00002")
		if fmt.Sprint(skipped) != "[dev/order/order-00007 prod/payment/order-00008 prod/order/x]" || watcher.Status()[0].Skipped != 3 {
			t.Errorf("skipped %v, %d", skipped, watcher.Status()[0].Skipped)
		}
	})
}

func TestFailingInstancesAreNotSeen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2)
		sick := order(1)
		sick.Health = discovery.HealthFailing
		w.register(sick)
		w.want(live, none, 2)
		w.put(1)
		w.want(live, none, 1, 2)
		// All of them at once: it is the check.
		w.register(sick)
		sick = order(2)
		sick.Health = discovery.HealthFailing
		w.register(sick)
		w.want(live, discovery.HoldEmpty, 1, 2)
	})
}

func TestReady(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.registry.Faults().Down(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		sub := must[*discovery.Subscription](t)(w.watcher.Subscribe(discovery.Query{Namespace: prod, Service: "payment"}, nil))
		if err := sub.Ready(ctx); !errors.Is(err, memory.ErrAway) || !errors.Is(err, discovery.ErrNoInstances) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		w.registry.Faults().Down(false)
		done := make(chan error)
		go func() { done <- w.sub.Ready(t.Context()) }()
		w.put(1)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestFirstFailureIsTold: who waits for the first answer hears that there is none,
// instead of hanging.
func TestFirstFailureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		registry.Faults().Hang(true)
		watcher := must[*discovery.Watcher](t)(discovery.NewWatcher(registry, prod, discovery.WithCallTimeout(2*time.Second), discovery.WithJitter(0)))
		defer watcher.Close()
		sub := must[*discovery.Subscription](t)(watcher.Subscribe(orders, nil))
		start := time.Now()
		s := must[*discovery.Snapshot](t)(sub.Next(t.Context()))
		if took := time.Since(start); took != 2*time.Second || s.Origin != discovery.OriginNone || s.Version != 0 || s.Problem() == nil {
			t.Errorf("after %v: %+v", took, s)
		}
		if err := watcher.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "prod/order: none, 0 instances") {
			t.Errorf("check: %v", err)
		}
	})
}

func TestBackoffAndRefresh(t *testing.T) {
	var failures []discovery.WatchFailure
	inWorld(t, func(t *testing.T, w *world) {
		synctest.Wait()
		start := time.Now()
		w.registry.Faults().Down(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		var waits []time.Duration
		for _, f := range failures {
			waits = append(waits, f.Backoff)
		}
		// 0, 0.1, 0.3, 0.7, 1.5, 3.1, 5.1, 7.1, 9.1 s
		if want := "[100ms 200ms 400ms 800ms 1.6s 2s 2s 2s 2s]"; fmt.Sprint(waits) != want {
			t.Errorf("waits %v, want %s", waits, want)
		}
		if f := failures[8]; f.Failures != 9 || !errors.Is(f.Err, memory.ErrAway) {
			t.Errorf("ninth failure %+v", f)
		}
		// The next attempt would be at 11.1 s.
		w.registry.Faults().Down(false)
		w.put(1)
		w.want(lastGood, none)
		w.sub.Refresh()
		w.want(live, none, 1)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("back after %v, want 10s", took)
		}
		// However often somebody asks, there is the shortest back-off between attempts.
		n := len(failures)
		w.registry.Faults().Down(true)
		for range 1000 {
			w.sub.Refresh()
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if got := len(failures) - n; got != 11 {
			t.Errorf("%d attempts in a second, want 11: one at each end", got)
		}
	}, discovery.WithBackoff(100*time.Millisecond, 2*time.Second), discovery.WithObserver(discovery.Observer{
		WatchFailed: func(f discovery.WatchFailure) { failures = append(failures, f) },
	}))
}

// TestSilenceAfterFailure: a registry that refuses first and is silent then is still one
// that does not answer.
func TestSilenceAfterFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1)
		w.registry.Faults().Down(true)
		w.want(lastGood, none, 1)
		w.registry.Faults().Hang(true)
		w.registry.Faults().Down(false)
		time.Sleep(time.Minute)
		if n := w.watcher.Status()[0].Failures; n < 5 || n > 12 {
			t.Errorf("%d failures in a minute of silence", n)
		}
		w.registry.Faults().Hang(false)
		time.Sleep(10 * time.Second)
		w.want(live, none, 1)
		if n := w.watcher.Status()[0].Failures; n != 0 {
			t.Errorf("%d failures after it", n)
		}
	})
}

// TestKeptWithoutSubscribers: a gRPC connection that was idle finds the instances
// again, with the registry away meanwhile.
func TestKeptWithoutSubscribers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2)
		version := w.want(live, none, 1, 2).Version
		w.sub.Close()
		synctest.Wait()
		w.registry.Faults().Down(true)
		time.Sleep(time.Hour)
		w.sub = must[*discovery.Subscription](t)(w.watcher.Subscribe(orders, nil))
		if s := w.want(lastGood, none, 1, 2); s.Version != version {
			t.Errorf("version %d, want %d", s.Version, version)
		}
		w.sub.Close()
		time.Sleep(24 * time.Hour)
		w.sub = must[*discovery.Subscription](t)(w.watcher.Subscribe(orders, nil))
		w.want(discovery.OriginNone, none)
	})
}

// TestResync: a watch that does not work any more, without a sign, is replaced.
func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		w := &world{t: t, registry: registry}
		deaf := &counter{Catalog: deafCatalog{registry}}
		w.watcher = must[*discovery.Watcher](t)(discovery.NewWatcher(deaf, prod, discovery.WithJitter(0), discovery.WithResync(time.Minute)))
		defer w.watcher.Close()
		w.sub = must[*discovery.Subscription](t)(w.watcher.Subscribe(orders, nil))
		start := time.Now()
		must[*discovery.Snapshot](t)(w.sub.Next(t.Context()))
		w.put(1)
		must[*discovery.Snapshot](t)(w.sub.Next(t.Context()))
		if took := time.Since(start); took != time.Minute {
			t.Errorf("seen after %v, want 1m", took)
		}
		version := w.want(live, none, 1).Version
		time.Sleep(10*time.Minute + time.Second)
		if got := w.sub.Snapshot().Version; got != version || deaf.opened() != 12 || deaf.closed() != 11 {
			t.Errorf("version %d, %d opened, %d closed", got, deaf.opened(), deaf.closed())
		}
	})
}

// deafCatalog's watches hear nothing after their first answer.
type deafCatalog struct{ discovery.Catalog }

func (c deafCatalog) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	s, err := c.Catalog.Watch(ctx, q)
	return &deafSource{Source: s}, err
}

type deafSource struct {
	discovery.Source
	answered bool
}

func (s *deafSource) Next(ctx context.Context) (discovery.Update, error) {
	if s.answered {
		<-ctx.Done()
		return discovery.Update{}, ctx.Err()
	}
	s.answered = true
	return s.Source.Next(ctx)
}

func TestNewWatcherRefuses(t *testing.T) {
	for _, tc := range []struct {
		opt  discovery.WatcherOption
		want string
	}{
		{discovery.WithCallTimeout(0), "call timeout 0s: must be positive"},
		{discovery.WithBackoff(0, time.Second), "min backoff 0s: must be at least 1ms"},
		{discovery.WithBackoff(time.Second, time.Millisecond), "max backoff 1ms: must be at least the min backoff, 1s"},
		{discovery.WithJitter(1.5), "jitter 1.5: must be from 0 to 1"},
		{discovery.WithChurnBrake(0, 5), "churn share 0: must be more than 0 and at most 1"},
		{discovery.WithChurnBrake(0.5, 1), "churn minimum 1: must be at least 2"},
		{discovery.WithConfirmTime(0), "confirm time 0s: must be at least 1ms"},
		{discovery.WithMaxStale(0), "max stale 0s: must be positive"},
		{discovery.WithResync(-time.Second), "resync -1s: must be positive"},
		{discovery.WithStoreInterval(-1), "store interval -1ns: must be 0 or more"},
	} {
		if _, err := discovery.NewWatcher(memory.New(), prod, tc.opt); err == nil || !strings.Contains(err.Error(), "discovery: "+tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
	if _, err := discovery.NewWatcher(memory.New(), ""); err == nil {
		t.Error("no namespace is taken")
	}
}

func TestCloseEndsEverything(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		done := make(chan error)
		must[*discovery.Snapshot](t)(w.sub.Next(t.Context()))
		go func() { _, err := w.sub.Next(t.Context()); done <- err }()
		synctest.Wait()
		if err := errors.Join(w.watcher.Close(), w.watcher.Close()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, discovery.ErrClosed) {
			t.Errorf("Next: %v", err)
		}
		if _, err := w.watcher.Subscribe(orders, nil); !errors.Is(err, discovery.ErrClosed) {
			t.Errorf("Subscribe: %v", err)
		}
	})
}
