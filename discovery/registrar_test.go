// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// log collects what an observer is told.
type log struct {
	mu     sync.Mutex
	states []string
	beats  []discovery.Heartbeat
	ttls   []discovery.TTLChange
	events []discovery.StateChange
}

func (l *log) observer() discovery.Option {
	return discovery.WithObserver(discovery.Observer{
		StateChanged: func(e discovery.StateChange) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.states, l.events = append(l.states, e.To.String()), append(l.events, e)
		},
		HeartbeatDone: func(e discovery.Heartbeat) { l.mu.Lock(); defer l.mu.Unlock(); l.beats = append(l.beats, e) },
		TTLChanged:    func(e discovery.TTLChange) { l.mu.Lock(); defer l.mu.Unlock(); l.ttls = append(l.ttls, e) },
	})
}

// take returns the states since it was last called.
func (l *log) take() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	states := strings.Join(l.states, " ")
	l.states = nil
	return states
}

func newRegistrar(t testing.TB, registry discovery.Registry, in discovery.Instance, opts ...discovery.RegistrarOption) *discovery.Registrar {
	t.Helper()
	opts = append([]discovery.RegistrarOption{discovery.WithJitter(0)}, opts...)
	return must[*discovery.Registrar](t)(discovery.NewRegistrar(registry, prod, in, opts...))
}

func deregister(t testing.TB, r *discovery.Registrar) {
	t.Helper()
	if err := r.Deregister(context.Background()); err != nil {
		t.Error(err)
	}
}

func wantStates(t testing.TB, l *log, want string) {
	t.Helper()
	if got := l.take(); got != want {
		t.Errorf("states %q, want %q", got, want)
	}
}

func TestRegistrarLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		r := newRegistrar(t, registry, order(1), l.observer())
		if err := r.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantStates(t, l, "registering registered visible")
		start := time.Now()
		time.Sleep(time.Minute + time.Nanosecond)
		synctest.Wait()
		st := r.Status()
		if st.Heartbeats != 12 || st.Registrations != 1 || !st.LastHeartbeat.Equal(start.Add(time.Minute)) || st.TTL != 15*time.Second || st.Health != discovery.HealthPassing || r.Check(t.Context()) != nil {
			t.Errorf("after a minute: %+v", st)
		}
		if got := registry.Instances(orders); len(got) != 1 || got[0].Health != discovery.HealthPassing {
			t.Errorf("registered: %v", got)
		}
		deregister(t, r)
		wantStates(t, l, "stopped")
		if got := registry.Instances(orders); len(got) != 0 {
			t.Errorf("still registered: %v", got)
		}
		deregister(t, r)
		time.Sleep(time.Minute)
		wantStates(t, l, "")
		if err := r.Ready(t.Context()); !errors.Is(err, discovery.ErrClosed) || r.Check(t.Context()) == nil {
			t.Errorf("Ready of a stopped one: %v", err)
		}
	})
}

// TestKilled: a process that dies without a word is gone after its time to live, and
// its successor with the same address takes its place before that.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		reg := must[discovery.Registration](t)(registry.Registration(order(1)))
		if _, err := reg.Register(t.Context(), 15*time.Second, discovery.HealthPassing); err != nil {
			t.Fatal(err)
		}
		r := newRegistrar(t, registry, order(1))
		time.Sleep(time.Hour)
		if got := registry.Instances(orders); len(got) != 1 {
			t.Errorf("%d entries of one instance", len(got))
		}
		deregister(t, r)
		if _, err := reg.Register(t.Context(), 15*time.Second, discovery.HealthPassing); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15*time.Second - time.Nanosecond)
		if len(registry.Instances(orders)) != 1 {
			t.Error("gone too soon")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if len(registry.Instances(orders)) != 0 {
			t.Error("a ghost")
		}
	})
}

func TestRegistryForgetsRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		r := newRegistrar(t, registry, order(1), l.observer())
		defer deregister(t, r)
		wantStates(t, l, "registering registered visible")
		registry.Faults().Forget()
		time.Sleep(5 * time.Second)
		// It is noticed with the next heartbeat, and mended a fifth of an interval later.
		wantStates(t, l, "registering")
		if !errors.Is(r.Status().Err, discovery.ErrUnknownRegistration) {
			t.Errorf("error %v", r.Status().Err)
		}
		time.Sleep(time.Second)
		wantStates(t, l, "registered visible")
		if st := r.Status(); st.Registrations != 2 || st.Err != nil {
			t.Errorf("status %+v", st)
		}
	})
}

func TestRegistrarNeverGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		registry.Faults().Down(true)
		r := newRegistrar(t, registry, order(1), l.observer())
		defer deregister(t, r)
		time.Sleep(time.Hour)
		if st := r.Status(); st.State != discovery.StateOpen && st.State != discovery.StateRegistering || !errors.Is(st.Err, memory.ErrAway) {
			t.Errorf("status %+v", st)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Ready(ctx); !errors.Is(err, memory.ErrAway) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ready: %v", err)
		}
		registry.Faults().Down(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if r.Status().State != discovery.StateVisible {
			t.Errorf("status %+v", r.Status())
		}
	})
}

// TestRegistrationBreaker: five attempts in a row, and then one in ten seconds.
func TestRegistrationBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := &spy{Registry: memory.New()}, &log{}
		registry.fail = memory.ErrAway
		r := newRegistrar(t, registry, order(1), l.observer(), discovery.WithBackoff(100*time.Millisecond, 5*time.Second))
		defer deregister(t, r)
		start := time.Now()
		time.Sleep(32 * time.Second)
		synctest.Wait()
		var at []time.Duration
		for _, c := range registry.taken() {
			at = append(at, c.at.Sub(start))
		}
		if want := "[0s 100ms 300ms 700ms 1.5s 11.5s 21.5s 31.5s]"; fmt.Sprint(at) != want {
			t.Errorf("registered at %v, want %s", at, want)
		}
		l.mu.Lock()
		last := l.events[len(l.events)-1]
		l.mu.Unlock()
		registry.set(func() { registry.fail = nil })
		if last.To != discovery.StateOpen || last.Next != 10*time.Second || last.Failures != 8 || !errors.Is(last.Err, memory.ErrAway) {
			t.Errorf("last event %+v", last)
		}
	})
}

// spy notes registrations, and makes them fail, or vanish.
type spy struct {
	discovery.Registry
	mu       sync.Mutex
	calls    []spied
	fail     error
	swallow  bool // registrations are accepted and not done
	grant    time.Duration
	beatTime time.Duration
	deregs   int
}

type spied struct {
	at     time.Time
	ttl    time.Duration
	health discovery.Health
}

func (s *spy) taken() []spied {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *spy) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

func (s *spy) Registration(in discovery.Instance) (discovery.Registration, error) {
	r, err := s.Registry.Registration(in)
	return spiedRegistration{r, s}, err
}

type spiedRegistration struct {
	discovery.Registration
	s *spy
}

func (r spiedRegistration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	r.s.mu.Lock()
	r.s.calls = append(r.s.calls, spied{time.Now(), ttl, h})
	fail, swallow, grant := r.s.fail, r.s.swallow, r.s.grant
	r.s.mu.Unlock()
	switch {
	case fail != nil:
		return 0, fail
	case swallow:
		return ttl, nil
	case grant > 0:
		ttl = grant
	}
	return r.Registration.Register(ctx, ttl, h)
}

func (r spiedRegistration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	r.s.mu.Lock()
	wait := r.s.beatTime
	r.s.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return r.Registration.Heartbeat(ctx, h)
}

func (r spiedRegistration) Deregister(ctx context.Context) error {
	r.s.mu.Lock()
	r.s.deregs++
	fail := r.s.fail
	r.s.mu.Unlock()
	if fail != nil {
		return fail
	}
	return r.Registration.Deregister(ctx)
}

// TestNotVisible: a registry that accepts what it does not show is found out, and not
// stormed.
func TestNotVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := &spy{Registry: memory.New(), swallow: true}, &log{}
		r := newRegistrar(t, registry, order(1), l.observer())
		defer deregister(t, r)
		time.Sleep(time.Minute)
		st := r.Status()
		if !errors.Is(st.Err, discovery.ErrNotVisible) || !strings.Contains(fmt.Sprint(st.Err), "prod/order/order-00001: the registry accepted it") {
			t.Errorf("error %v", st.Err)
		}
		if n := len(registry.taken()); n > 12 {
			t.Errorf("%d registrations in a minute", n)
		}
		registry.set(func() { registry.swallow = false })
		time.Sleep(11 * time.Second)
		if r.Status().State != discovery.StateVisible {
			t.Errorf("status %+v", r.Status())
		}
	})
}

// TestVerification: what vanished from sight though heartbeats are taken is found out.
func TestVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		r := newRegistrar(t, registry, order(1), l.observer(), discovery.WithVerification(time.Minute))
		defer deregister(t, r)
		time.Sleep(10 * time.Second)
		wantStates(t, l, "registering registered visible")
		registry.Faults().Hide(true) // heartbeats still work
		time.Sleep(49 * time.Second)
		wantStates(t, l, "")
		time.Sleep(time.Second)
		wantStates(t, l, "registering")
		registry.Faults().Hide(false)
		time.Sleep(2 * time.Second)
		wantStates(t, l, "registered visible")
	})
}

func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		r := newRegistrar(t, registry, order(1), l.observer())
		defer deregister(t, r)
		time.Sleep(time.Second)
		l.take()
		registry.Faults().Hang(true)
		// The heartbeat at 5 s has until 10 s.
		time.Sleep(9*time.Second - time.Nanosecond)
		wantStates(t, l, "")
		time.Sleep(time.Nanosecond)
		wantStates(t, l, "away")
		if err := r.Check(t.Context()); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "prod/order/order-00001 is away") || !strings.Contains(err.Error(), "no answer within 5s") {
			t.Errorf("check: %v", err)
		}
		registry.Faults().Hang(false)
		time.Sleep(5 * time.Second)
		wantStates(t, l, "visible")
		if n := r.Status().Registrations; n != 1 {
			t.Errorf("%d registrations, want 1: the entry was still there", n)
		}
	})
}

// TestSameID: of two processes with one id, the later one has it, and the other does
// not fight for it.
func TestSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, l := memory.New(), &log{}
		first := newRegistrar(t, registry, order(1), l.observer())
		defer deregister(t, first)
		synctest.Wait()
		other := order(2)
		other.ID = order(1).ID
		second := newRegistrar(t, registry, other)
		l.take()
		time.Sleep(time.Hour)
		wantStates(t, l, "conflict")
		if err := first.Status().Err; !errors.Is(err, discovery.ErrDuplicateID) || !strings.Contains(err.Error(), "order-00001 is registered for 10.0.0.2:8443, and this process is 10.0.0.1:8443: give each its own id") {
			t.Errorf("error %v", err)
		}
		if st := second.Status(); st.State != discovery.StateVisible || st.Registrations != 1 {
			t.Errorf("the other: %+v", st)
		}
		deregister(t, second)
		time.Sleep(15 * time.Second)
		wantStates(t, l, "registering registered visible")
	})
}

// TestDeregisterOfTheLoser: who yielded must not take the other's entry away.
func TestDeregisterOfTheLoser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		first := newRegistrar(t, registry, order(1))
		synctest.Wait()
		other := order(2)
		other.ID = order(1).ID
		second := newRegistrar(t, registry, other)
		synctest.Wait()
		deregister(t, first) // before it has noticed
		if got := registry.Instances(orders); len(got) != 1 || got[0].Address != other.Address {
			t.Errorf("registered: %v", got)
		}
		third := newRegistrar(t, registry, order(1))
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		deregister(t, second) // after it has noticed
		deregister(t, third)
		time.Sleep(time.Minute)
		if got := registry.Instances(orders); len(got) != 0 {
			t.Errorf("registered: %v", got)
		}
	})
}

// TestLoserAsksForNothing: not every registry can tell whose entry it removes.
func TestLoserAsksForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &spy{Registry: memory.New()}
		first := newRegistrar(t, registry, order(1))
		synctest.Wait()
		other := order(2)
		other.ID = order(1).ID
		second := newRegistrar(t, registry.Registry, other)
		time.Sleep(2 * time.Minute)
		deregister(t, first)
		if first.Status().State != discovery.StateStopped || registry.deregs != 0 {
			t.Errorf("%v, deregistered %d times", first.Status().State, registry.deregs)
		}
		deregister(t, second)
	})
}

func TestDeregisterTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := &spy{Registry: memory.New()}
		r := newRegistrar(t, registry, order(1))
		synctest.Wait()
		registry.set(func() { registry.fail = memory.ErrAway })
		err := r.Deregister(context.Background())
		if !errors.Is(err, memory.ErrAway) || !strings.Contains(err.Error(), "prod/order/order-00001 is not deregistered, and will be found until its time to live of 15s is over") || registry.deregs != 3 {
			t.Errorf("%d tries: %v", registry.deregs, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		if err := r.Deregister(ctx); err == nil || time.Since(start) != 2*time.Second {
			t.Errorf("with a deadline: %v after %v", err, time.Since(start))
		}
		registry.set(func() { registry.fail = nil })
		deregister(t, r)
		if r.Status().State != discovery.StateStopped {
			t.Errorf("status %+v", r.Status())
		}
	})
}

// TestDeregisterDuringRegister: a registration that was under way when it was called
// off leaves no ghost.
func TestDeregisterDuringRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		late := &lateRegistry{registry}
		r := newRegistrar(t, late, order(1))
		synctest.Wait()
		deregister(t, r)
		time.Sleep(2 * time.Second)
		if got := registry.Instances(orders); len(got) != 0 {
			t.Errorf("ghost: %v", got)
		}
	})
}

// lateRegistry registers, and loses the answer.
type lateRegistry struct{ discovery.Registry }

func (l *lateRegistry) Registration(in discovery.Instance) (discovery.Registration, error) {
	r, err := l.Registry.Registration(in)
	return lateRegistration{r}, err
}

type lateRegistration struct{ discovery.Registration }

func (l lateRegistration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	<-ctx.Done()
	time.Sleep(time.Second)
	if _, err := l.Registration.Register(context.WithoutCancel(ctx), ttl, h); err != nil {
		return 0, err
	}
	return 0, ctx.Err()
}

// TestCheckRegistration begins nothing, not even of what would be taken.
func TestCheckRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		if err := discovery.CheckRegistration(registry, prod, order(1)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if n := len(registry.Instances(orders)); n != 0 {
			t.Errorf("%d registered", n)
		}
	})
}

func TestForeignRegistrationIsRefused(t *testing.T) {
	registry := memory.New()
	in := order(1)
	in.Namespace = "prod"
	if err := discovery.CheckRegistration(registry, "dev", in); !errors.Is(err, discovery.ErrForeignNamespace) {
		t.Errorf("checked: %v", err)
	}
	_, err := discovery.NewRegistrar(registry, "dev", in)
	if !errors.Is(err, discovery.ErrForeignNamespace) || !strings.Contains(err.Error(), `service "order" for "prod" from a process of "dev": nothing was registered. If it does belong there, run it with OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=prod`) {
		t.Errorf("got %v", err)
	}
	if len(registry.Instances(orders)) != 0 {
		t.Error("it was registered")
	}
}

func TestNewRegistrarRefuses(t *testing.T) {
	for _, tc := range []struct {
		opt  discovery.RegistrarOption
		want string
	}{
		{discovery.WithTTL(time.Millisecond), "TTL 1ms: must be at least 1s"},
		{discovery.WithServerTimeout("write timeout", 30*time.Second), "TTL 15s: must be more than 30s, the server's write timeout, so that no request outlives the registration: raise it with WithTTL, or lower that timeout"},
		{discovery.WithServerTimeout("read timeout", 15*time.Second), "TTL 15s: must be more than 15s"},
		{discovery.WithTTLTuning(time.Second, nil), "longest TTL 1s: must be at least the TTL, 15s"},
		{discovery.WithHealthTimeout(0), "health timeout 0s: must be positive"},
		{discovery.WithDamping(0, 1), "fail after 0: must be at least 1"},
		{discovery.WithDamping(1, 0), "pass after 0: must be at least 1"},
		{discovery.WithVerification(0), "verify every 0s: must be positive"},
		{discovery.WithRegistrationBreaker(0, time.Second), "break after 0: must be at least 1"},
		{discovery.WithRegistrationBreaker(1, 0), "break time 0s: must be at least 1ms"},
		{discovery.WithCallTimeout(-1), "call timeout -1ns: must be positive"},
	} {
		if _, err := discovery.NewRegistrar(memory.New(), prod, order(1), tc.opt); err == nil || !strings.Contains(err.Error(), "discovery: "+tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
	bad := order(1)
	bad.Address = "10.0.0.1:0"
	if _, err := discovery.NewRegistrar(memory.New(), prod, bad); err == nil {
		t.Error("port 0 is taken")
	}
}
