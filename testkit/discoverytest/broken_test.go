// SPDX-License-Identifier: Apache-2.0

package discoverytest_test

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
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// bent is a back end of which some parts are broken; those that are nil are not.
type bent struct {
	discovery.Backend
	registration func(discovery.Instance) (discovery.Registration, error)
	register     func(ctx context.Context, r discovery.Registration, ttl time.Duration, h discovery.Health) (time.Duration, error)
	heartbeat    func(ctx context.Context, r discovery.Registration, h discovery.Health) (time.Duration, error)
	lookup       func(ctx context.Context, r discovery.Registration, in discovery.Instance) (discovery.Instance, error)
	deregister   func(ctx context.Context, r discovery.Registration) error
	place        func(*discovery.Instance)
	watch        func(ctx context.Context, q discovery.Query) (discovery.Source, error)
	source       func(s discovery.Source, q discovery.Query) discovery.Source
	update       func(discovery.Query, *discovery.Update)
}

func (b *bent) Registration(in discovery.Instance) (discovery.Registration, error) {
	if b.registration != nil {
		return b.registration(in)
	}
	if b.place != nil {
		b.place(&in)
	}
	r, err := b.Backend.Registration(in)
	return &bentRegistration{r, b, in}, err
}

type bentRegistration struct {
	discovery.Registration
	b  *bent
	in discovery.Instance
}

func (r *bentRegistration) Register(ctx context.Context, ttl time.Duration, h discovery.Health) (time.Duration, error) {
	if r.b.register != nil {
		return r.b.register(ctx, r.Registration, ttl, h)
	}
	return r.Registration.Register(ctx, ttl, h)
}

func (r *bentRegistration) Heartbeat(ctx context.Context, h discovery.Health) (time.Duration, error) {
	if r.b.heartbeat != nil {
		return r.b.heartbeat(ctx, r.Registration, h)
	}
	return r.Registration.Heartbeat(ctx, h)
}

func (r *bentRegistration) Lookup(ctx context.Context) (discovery.Instance, error) {
	if r.b.lookup != nil {
		return r.b.lookup(ctx, r.Registration, r.in)
	}
	return r.Registration.Lookup(ctx)
}

func (r *bentRegistration) Deregister(ctx context.Context) error {
	if r.b.deregister != nil {
		return r.b.deregister(ctx, r.Registration)
	}
	return r.Registration.Deregister(ctx)
}

func (b *bent) Watch(ctx context.Context, q discovery.Query) (discovery.Source, error) {
	if b.watch != nil {
		return b.watch(ctx, q)
	}
	s, err := b.Backend.Watch(ctx, q)
	if err != nil {
		return nil, err
	}
	if b.source != nil {
		s = b.source(s, q)
	}
	if inner := s; b.update != nil {
		s = bentSource{inner, func(ctx context.Context) (discovery.Update, error) {
			u, err := inner.Next(ctx)
			b.update(q, &u)
			return u, err
		}}
	}
	return s, nil
}

// bentSource is a source with another Next.
type bentSource struct {
	discovery.Source
	next func(context.Context) (discovery.Update, error)
}

func (s bentSource) Next(ctx context.Context) (discovery.Update, error) { return s.next(ctx) }

// asleep waits for the end of ctx.
func asleep(ctx context.Context) (discovery.Update, error) {
	<-ctx.Done()
	return discovery.Update{}, ctx.Err()
}

// lies says that whatever is asked for is there.
func lies() *bent {
	return &bent{
		heartbeat: func(ctx context.Context, r discovery.Registration, h discovery.Health) (time.Duration, error) {
			ttl, err := r.Heartbeat(ctx, h)
			if errors.Is(err, discovery.ErrUnknownRegistration) {
				return 3 * time.Second, nil
			}
			return ttl, err
		},
		lookup: func(_ context.Context, _ discovery.Registration, in discovery.Instance) (discovery.Instance, error) {
			return in, nil
		},
	}
}

// emptyOnError takes no answer for an empty one.
func emptyOnError() *bent {
	return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
		return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
			u, err := s.Next(ctx)
			if err != nil && ctx.Err() == nil {
				time.Sleep(50 * time.Millisecond)
				return discovery.Update{Full: true}, nil
			}
			return u, err
		}}
	}}
}

// frozen hears nothing any more after its first error.
func frozen() *bent {
	var failed atomic.Bool
	return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
		return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
			if failed.Load() {
				return asleep(ctx)
			}
			u, err := s.Next(ctx)
			if err != nil && ctx.Err() == nil {
				failed.Store(true)
			}
			return u, err
		}}
	}}
}

// broken has one back end for each rule, broken in a way that is likely, and what the
// rule says of it.
var broken = []struct {
	rule discoverytest.Rule
	bent func() *bent
	want string
}{
	{discoverytest.FirstAnswer, func() *bent {
		return &bent{update: func(_ discovery.Query, u *discovery.Update) { u.Full = false }}
	}, "is not a full one"},
	{discoverytest.FirstAnswerEmpty, func() *bent {
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				for {
					if u, err := s.Next(ctx); err != nil || len(u.Put) > 0 {
						return u, err
					}
				}
			}}
		}}
	}, "of which there is nothing: context deadline exceeded"},
	{discoverytest.SeesChanges, func() *bent {
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				for {
					if u, err := s.Next(ctx); err != nil || len(u.Remove) == 0 {
						return u, err
					}
				}
			}}
		}}
	}, "two that were removed: not seen"},
	{discoverytest.NoNews, func() *bent {
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			var last discovery.Update
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
				defer cancel()
				u, err := s.Next(short)
				if err != nil && ctx.Err() == nil {
					return last, nil
				}
				last = u
				return u, err
			}}
		}}
	}, "nothing happened: an update, and there was no change"},
	{discoverytest.WatchContext, func() *bent {
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			lose := false
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				if lose {
					lose = false
					_, _ = s.Next(ctx)
				}
				u, err := s.Next(ctx)
				lose = err != nil
				return u, err
			}}
		}}
	}, "what changed while nobody waited: not seen"},
	{discoverytest.WatchClose, func() *bent {
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source { return unclosed{s} }}
	}, "Next still waits 1s after Close"},
	{discoverytest.WatchLeaks, func() *bent {
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			go time.Sleep(time.Hour)
			return s
		}}
	}, "1000 goroutines more after 1000 watches"},
	{discoverytest.QueryInvalid, func() *bent {
		b := &bent{}
		b.watch = func(ctx context.Context, q discovery.Query) (discovery.Source, error) {
			if q.Validate() != nil {
				q = discovery.Query{Namespace: "conformance", Service: "any"}
			}
			return b.Backend.Watch(ctx, q)
		}
		return b
	}, `Watch takes the query "../x/query-invalid`},
	{discoverytest.RoundTrip, func() *bent {
		return &bent{place: func(in *discovery.Instance) { in.Zone = "" }}
	}, "an instance with everything: not seen"},
	{discoverytest.RegisterAgain, func() *bent {
		n := 0
		return &bent{place: func(in *discovery.Instance) { n++; in.ID += fmt.Sprint("-", n) }}
	}, "one entry: not seen"},
	{discoverytest.RegisterInvalid, func() *bent {
		b := &bent{}
		b.registration = func(in discovery.Instance) (discovery.Registration, error) {
			if in.Namespace == "" {
				in.Namespace = discovery.DefaultNamespace
			}
			return b.Backend.Registration(in)
		}
		return b
	}, "Registration takes the namespace \"\""},
	{discoverytest.RegisterContext, func() *bent {
		return &bent{deregister: func(ctx context.Context, r discovery.Registration) error {
			return r.Deregister(context.WithoutCancel(ctx))
		}}
	}, "Deregister with a context that had ended succeeded"},
	{discoverytest.HeartbeatKeeps, func() *bent {
		return &bent{heartbeat: func(context.Context, discovery.Registration, discovery.Health) (time.Duration, error) {
			return 3 * time.Second, nil
		}}
	}, "there were heartbeats for four times to live: an update"},
	{discoverytest.HeartbeatUnknown, func() *bent {
		return &bent{heartbeat: func(ctx context.Context, r discovery.Registration, h discovery.Health) (time.Duration, error) {
			return r.Register(ctx, 3*time.Second, h)
		}}
	}, "a heartbeat for what was never registered: got <nil>"},
	{discoverytest.HeartbeatHealth, func() *bent {
		return &bent{register: func(ctx context.Context, r discovery.Registration, ttl time.Duration, _ discovery.Health) (time.Duration, error) {
			return r.Register(ctx, ttl, discovery.HealthPassing)
		}}
	}, "not the one that registered as failing: not seen"},
	{discoverytest.TTLExpires, func() *bent {
		return &bent{register: func(ctx context.Context, r discovery.Registration, ttl time.Duration, h discovery.Health) (time.Duration, error) {
			_, err := r.Register(ctx, time.Hour, h)
			return ttl, err
		}}
	}, "the instance is still seen"},
	{discoverytest.LookupSees, lies, "Lookup before Register: got <nil>"},
	{discoverytest.DeregisterGone, func() *bent {
		return &bent{deregister: func(context.Context, discovery.Registration) error { return nil }}
	}, "nothing: not seen within"},
	{discoverytest.Namespaces, func() *bent {
		// A prefix without its end: prod sees prod2.
		b := &bent{place: func(in *discovery.Instance) { in.Namespace = "conformance" }}
		b.watch = func(ctx context.Context, q discovery.Query) (discovery.Source, error) {
			own := q.Namespace
			q.Namespace = "conformance"
			s, err := b.Backend.Watch(ctx, q)
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				u, err := s.Next(ctx)
				for i := range u.Put {
					u.Put[i].Namespace = own
				}
				return u, err
			}}, err
		}
		return b
	}, "alone: not seen"},
	{discoverytest.Services, func() *bent {
		cut := func(s string) string { return strings.TrimRight(s, "2-") }
		b := &bent{place: func(in *discovery.Instance) { in.Service = cut(in.Service) }}
		b.watch = func(ctx context.Context, q discovery.Query) (discovery.Source, error) {
			own := q.Service
			q.Service = cut(q.Service)
			s, err := b.Backend.Watch(ctx, q)
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				u, err := s.Next(ctx)
				for i := range u.Put {
					u.Put[i].Service = own
				}
				return u, err
			}}, err
		}
		return b
	}, "alone: not seen"},
	{discoverytest.MalformedEntry, func() *bent {
		return &bent{update: func(_ discovery.Query, u *discovery.Update) { u.Malformed = nil }}
	}, "a report of those that make none: not seen"},
	{discoverytest.ManyInstances, func() *bent {
		return &bent{update: func(_ discovery.Query, u *discovery.Update) { u.Put = u.Put[:min(len(u.Put), 100)] }}
	}, "1000 instances"},
	{discoverytest.Concurrency, func() *bent {
		var mu sync.Mutex
		return &bent{register: func(ctx context.Context, r discovery.Registration, ttl time.Duration, h discovery.Health) (time.Duration, error) {
			if !mu.TryLock() {
				return 0, errors.New("busy")
			}
			defer mu.Unlock()
			time.Sleep(time.Millisecond)
			return r.Register(ctx, ttl, h)
		}}
	}, "Register: busy"},

	{discoverytest.FaultRule(discoverytest.Outage), emptyOnError, "a watch lost"},
	{discoverytest.FaultRule(discoverytest.Hang), func() *bent {
		// The first call that timed out is remembered for good.
		var poison atomic.Bool
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				if poison.Load() {
					return discovery.Update{}, errors.New("poisoned")
				}
				u, err := s.Next(ctx)
				if err != nil {
					poison.Store(true)
				}
				return u, err
			}}
		}}
	}, "after the fault, each instance once: not seen within 5s (poisoned)"},
	{discoverytest.FaultRule(discoverytest.Slow), func() *bent {
		return &bent{heartbeat: func(ctx context.Context, r discovery.Registration, h discovery.Health) (time.Duration, error) {
			ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			return r.Heartbeat(ctx, h)
		}}
	}, "a watch lost"},
	{discoverytest.FaultRule(discoverytest.Disconnect), func() *bent {
		// What comes after the first answer is taken for a change of it.
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			answered := false
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				u, err := s.Next(ctx)
				u.Full = u.Full && !answered
				answered = answered || u.Full
				return u, err
			}}
		}}
	}, "is not a full one"},
	{discoverytest.FaultRule(discoverytest.Restart), lies, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.Forget), lies, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.LeaseLoss), lies, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.UnknownCheck), lies, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.LeaderLoss), frozen, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.AuthExpiry), emptyOnError, "a watch lost"},
	{discoverytest.FaultRule(discoverytest.Compaction), frozen, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.IndexReset), frozen, "not everything is as before"},
	{discoverytest.FaultRule(discoverytest.Empty), func() *bent {
		// Nothing is never believed.
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			known := map[string]bool{}
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				for {
					u, err := s.Next(ctx)
					if u.Full {
						clear(known)
					}
					for _, id := range u.Remove {
						delete(known, id)
					}
					for _, in := range u.Put {
						known[in.ID] = true
					}
					if err != nil || len(known) > 0 {
						return u, err
					}
				}
			}}
		}}
	}, "no ghost, after all have deregistered: not seen"},
	{discoverytest.FaultRule(discoverytest.Flap), func() *bent {
		// What comes within a second of the last one is left out.
		return &bent{source: func(s discovery.Source, _ discovery.Query) discovery.Source {
			var last time.Time
			return bentSource{s, func(ctx context.Context) (discovery.Update, error) {
				for {
					u, err := s.Next(ctx)
					if err != nil || time.Since(last) > time.Second {
						last = time.Now()
						return u, err
					}
				}
			}}
		}}
	}, "a new instance, after the fault"},
}

// unclosed cannot be closed.
type unclosed struct{ discovery.Source }

func (unclosed) Close() error { return nil }

// TestEveryRuleCanFail plays each rule to a back end that is as it should be, which must
// pass, and to one that breaks it, which must not.
func TestEveryRuleCanFail(t *testing.T) {
	tested := map[discoverytest.Rule]bool{}
	for _, tc := range broken {
		tested[tc.rule] = true
		t.Run(string(tc.rule), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if failures := check(t, tc.rule, harness(&bent{})); len(failures) > 0 {
					t.Errorf("a back end that is as it should be: %q", failures)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				failures := check(t, tc.rule, harness(tc.bent()))
				if len(failures) == 0 {
					t.Error("the rule does not see what is broken")
				} else if !containsAny(failures, tc.want) {
					t.Errorf("got %q, want %q", failures, tc.want)
				}
			})
		})
	}
	for _, r := range discoverytest.Rules() {
		if !tested[r.Rule] {
			t.Errorf("%s was never seen to fail", r.Rule)
		}
		if len(r.Doc) < 20 {
			t.Errorf("%s has no reason", r.Rule)
		}
	}
}
