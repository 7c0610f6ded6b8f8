// SPDX-License-Identifier: Apache-2.0

package discoverytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
)

func (s *session) beat(r discovery.Registration, h discovery.Health) {
	s.Helper()
	s.do("Heartbeat", func(ctx context.Context) error {
		ttl, err := r.Heartbeat(ctx, h)
		if err == nil && ttl <= 0 {
			return fmt.Errorf("it returned a time to live of %v", ttl)
		}
		return err
	})
}

// unknown wants a call to say that there is no such registration.
func (s *session) unknown(what string, f func(context.Context) error) {
	s.Helper()
	ctx, cancel := s.call()
	defer cancel()
	if err := f(ctx); !errors.Is(err, discovery.ErrUnknownRegistration) {
		s.Errorf("%s: got %v, want discovery.ErrUnknownRegistration", what, err)
	}
}

func heartbeat(r discovery.Registration) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := r.Heartbeat(ctx, discovery.HealthPassing)
		return err
	}
}

func lookup(r discovery.Registration) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := r.Lookup(ctx)
		return err
	}
}

func playRoundTrip(s *session) {
	full := s.instance(1)
	full.ID, full.Address = "my-id_1", "[2001:db8::1]:8443"
	full.Zone, full.Weight, full.Version = "eu-west-1a", 250, "1.2.3-rc.1+dirty"
	full.Tags = []string{"canary", "grpc"}
	full.Metadata = map[string]string{"team": "checkout", "empty": "", "Text_1": `"<ü> = {;}` + "\u2028"}
	name := s.instance(2)
	name.Address, name.ID = "order-2.internal:80", ""
	name, err := name.Normalized()
	if err != nil {
		s.Fatalf("%v", err)
	}
	w := s.watch(s.q)
	for _, in := range []discovery.Instance{full, name} {
		r := s.register(in, longTTL, discovery.HealthPassing)
		w.until("an instance with everything", func() bool {
			got, ok := w.seen[in.ID]
			return ok && got.Equal(&in)
		})
		s.do("Lookup", func(ctx context.Context) error {
			got, err := r.Lookup(ctx)
			if err == nil && !got.Equal(&in) {
				return fmt.Errorf("got %+v, want %+v", got, in)
			}
			return err
		})
	}
}

func playRegisterAgain(s *session) {
	first := s.register(s.instance(1), longTTL, discovery.HealthPassing)
	s.put(first, longTTL, discovery.HealthPassing)
	next := s.register(s.instance(1), longTTL, discovery.HealthPassing) // the next process
	s.finds("one entry", s.q, s.instance(1))
	moved := s.instance(2)
	moved.ID = s.instance(1).ID
	s.register(moved, longTTL, discovery.HealthPassing)
	s.finds("the entry in its new place, once", s.q, moved)
	_ = next
}

func playRegisterInvalid(s *session) {
	w := s.watch(s.q)
	w.sees("nothing")
	for _, change := range []func(*discovery.Instance){
		func(in *discovery.Instance) { in.Address = "10.0.0.1:0" },
		func(in *discovery.Instance) { in.Address = "" },
		func(in *discovery.Instance) { in.Address = "0.0.0.0:80" },
		func(in *discovery.Instance) { in.Namespace = "" },
		func(in *discovery.Instance) { in.ID = "a/../b" },
		func(in *discovery.Instance) { in.Weight = -1 },
		func(in *discovery.Instance) { in.Metadata = map[string]string{discovery.ReservedMetadata + "x": ""} },
	} {
		in := s.instance(1)
		change(&in)
		if _, err := s.h.Registry.Registration(in); err == nil {
			s.Errorf("Registration takes %+v", in)
		}
	}
	for _, bad := range badNames {
		in := s.instance(1)
		in.Service = bad
		if _, err := s.h.Registry.Registration(in); err == nil {
			s.Errorf("Registration takes the service %q", bad)
		}
		in = s.instance(1)
		in.Namespace = discovery.Namespace(bad)
		if _, err := s.h.Registry.Registration(in); err == nil {
			s.Errorf("Registration takes the namespace %q", bad)
		}
	}
	w.quiet("only invalid instances were registered", 200*time.Millisecond)
}

func playRegisterContext(s *session) {
	r := s.register(s.instance(1), longTTL, discovery.HealthPassing)
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	for name, f := range map[string]func(context.Context) error{
		"Register": func(ctx context.Context) error {
			_, err := r.Register(ctx, longTTL, discovery.HealthPassing)
			return err
		},
		"Heartbeat":  heartbeat(r),
		"Lookup":     lookup(r),
		"Deregister": r.Deregister,
	} {
		start := time.Now()
		if err := f(ended); err == nil {
			s.Errorf("%s with a context that had ended succeeded", name)
		} else if errors.Is(err, discovery.ErrUnknownRegistration) {
			s.Errorf("%s with a context that had ended: %v", name, err)
		}
		if took := time.Since(start); took > soon {
			s.Errorf("%s with a context that had ended took %v", name, took)
		}
	}
}

func playHeartbeatKeeps(s *session) {
	w := s.watch(s.q)
	r := s.registration(s.instance(1))
	ttl := s.put(r, s.h.TTL, discovery.HealthPassing)
	s.Cleanup(func() { _ = r.Deregister(context.WithoutCancel(s.ctx)) })
	w.sees("the instance", s.instance(1))
	for range 12 { // four times to live
		time.Sleep(ttl / 3)
		s.beat(r, discovery.HealthPassing)
	}
	w.quiet("there were heartbeats for four times to live", 100*time.Millisecond)
	s.finds("the instance, after four times to live", s.q, s.instance(1))
}

func playTTLExpires(s *session) {
	w := s.watch(s.q)
	r := s.registration(s.instance(1))
	ttl := s.put(r, s.h.TTL, discovery.HealthPassing)
	s.Cleanup(func() { _ = r.Deregister(context.WithoutCancel(s.ctx)) })
	w.sees("the instance", s.instance(1))
	w.quiet("half of the time to live is over", ttl/2)
	ctx, cancel := context.WithTimeout(s.ctx, ttl/2+s.h.Expiry+s.h.Settle)
	defer cancel()
	for len(w.passing()) > 0 {
		if err := w.next(ctx); err != nil {
			s.Fatalf("%v after the end of its time to live of %v the instance is still seen (%v)", s.h.Expiry+s.h.Settle, ttl, err)
		}
	}
	s.finds("nothing after the time to live", s.q)
	// It comes back as if nothing had been.
	s.put(r, s.h.TTL, discovery.HealthPassing)
	w.sees("the instance that registered again", s.instance(1))
	s.beat(r, discovery.HealthPassing)
}

func playHeartbeatUnknown(s *session) {
	w := s.watch(s.q)
	w.sees("nothing")
	r := s.registration(s.instance(1))
	s.unknown("a heartbeat for what was never registered", heartbeat(r))
	w.quiet("there was nothing but a heartbeat", 200*time.Millisecond)
	s.put(r, longTTL, discovery.HealthPassing)
	s.beat(r, discovery.HealthPassing)
	s.do("Deregister", r.Deregister)
	s.unknown("a heartbeat after Deregister", heartbeat(r))
	s.finds("nothing after that heartbeat", s.q)
}

func playHeartbeatHealth(s *session) {
	w := s.watch(s.q)
	w.sees("nothing")
	r := s.register(s.instance(1), longTTL, discovery.HealthFailing)
	other := s.register(s.instance(2), longTTL, discovery.HealthPassing)
	w.sees("the other one, and not the one that registered as failing", s.instance(2))
	s.beat(r, discovery.HealthPassing)
	w.sees("the one that recovered", s.instances(1, 3)...)
	s.beat(other, discovery.HealthFailing)
	w.sees("not the other one, which fails", s.instance(1))
	s.finds("not the other one, in a new watch", s.q, s.instance(1))
	s.beat(other, discovery.HealthFailing)
	s.beat(other, discovery.HealthPassing)
	w.sees("the other one again", s.instances(1, 3)...)
	s.beat(other, discovery.HealthLeaving)
	w.sees("not the other one, which leaves", s.instance(1))
}

func playLookup(s *session) {
	r := s.registration(s.instance(1))
	s.unknown("Lookup before Register", lookup(r))
	s.put(r, longTTL, discovery.HealthFailing)
	found := func(want discovery.Instance, h discovery.Health) {
		s.Helper()
		want.Health = h
		ctx, cancel := s.call()
		defer cancel()
		for {
			got, err := r.Lookup(ctx)
			if err == nil && got.ID == want.ID && got.Address == want.Address && got.Health == h {
				return
			}
			if ctx.Err() != nil {
				s.Fatalf("Lookup: got %+v, %v, want %+v", got, err, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	found(s.instance(1), discovery.HealthFailing)
	s.beat(r, discovery.HealthPassing)
	found(s.instance(1), discovery.HealthPassing)
	s.beat(r, discovery.HealthLeaving)
	found(s.instance(1), discovery.HealthLeaving)
	other := s.instance(2)
	other.ID = s.instance(1).ID
	s.register(other, longTTL, discovery.HealthPassing)
	found(other, discovery.HealthPassing)
	s.put(r, longTTL, discovery.HealthPassing)
	s.do("Deregister", r.Deregister)
	s.finds("nothing", s.q)
	s.unknown("Lookup after Deregister", lookup(r))
}

func playDeregister(s *session) {
	w := s.watch(s.q)
	never := s.registration(s.instance(1))
	s.do("Deregister of what was never registered", never.Deregister)
	r := s.registration(s.instance(2))
	s.put(r, s.h.TTL, discovery.HealthPassing)
	w.sees("the instance", s.instance(2))
	s.do("Deregister", r.Deregister)
	w.sees("nothing")
	s.do("a second Deregister", r.Deregister)
	w.quiet("it was deregistered", s.h.TTL)
	s.finds("nothing", s.q)
	// By the next process, which has another handle.
	s.put(r, longTTL, discovery.HealthPassing)
	s.do("Deregister by another handle", s.registration(s.instance(2)).Deregister)
	w.until("nothing", func() bool { return len(w.passing()) == 0 })
	s.finds("nothing", s.q)
	s.unknown("a heartbeat after another process deregistered", heartbeat(r))
}

func playConcurrency(s *session) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	fail := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		s.Errorf(format, args...)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	for range 5 {
		source, err := s.h.Catalog.Watch(ctx, s.q)
		if err != nil {
			s.Fatalf("Watch: %v", err)
		}
		wg.Go(func() {
			defer func() { _ = source.Close() }()
			for ctx.Err() == nil {
				if _, err := source.Next(ctx); err != nil && ctx.Err() == nil {
					fail("Next: %v", err)
					return
				}
			}
		})
	}
	const workers = 20
	var work sync.WaitGroup
	for n := range workers {
		r := s.registration(s.instance(n))
		work.Go(func() {
			for range 5 {
				if _, err := r.Register(ctx, longTTL, discovery.HealthPassing); err != nil {
					fail("Register: %v", err)
				}
				if _, err := r.Heartbeat(ctx, discovery.HealthPassing); err != nil {
					fail("Heartbeat: %v", err)
				}
				if n%2 == 0 {
					if err := r.Deregister(ctx); err != nil {
						fail("Deregister: %v", err)
					}
				}
			}
		})
		s.Cleanup(func() { _ = r.Deregister(context.WithoutCancel(s.ctx)) })
	}
	work.Wait()
	var want []discovery.Instance
	for n := 1; n < workers; n += 2 {
		want = append(want, s.instance(n))
	}
	s.finds("those that stayed", s.q, want...)
	cancel()
	wg.Wait()
}
