// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/consul/internal/consultest"
)

// queries returns the parameters of the queries for health so far.
func queries(t *testing.T, agent *consultest.Agent) []url.Values {
	t.Helper()
	var out []url.Values
	for _, r := range agent.Requests() {
		if target, ok := strings.CutPrefix(r, "GET /v1/health/service/"); ok {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, u.Query())
		}
	}
	return out
}

func put(t *testing.T, agent *consultest.Agent, id string) {
	t.Helper()
	if err := agent.Put(entry(func(e *api.ServiceEntry) { e.Service.ID = id })); err != nil {
		t.Fatal(err)
	}
}

// TestQueries: the first is answered by the leader, the others wait and can be answered
// by any server, for one environment's service and no other.
func TestQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t, consul.WithWait(30*time.Second), consul.WithDatacenter("dc2"))
		put(t, agent, "a")
		s := watch(t, b, order)
		next(t, s)
		put(t, agent, "b")
		if u := next(t, s); u.Full || len(u.Put) != 1 || u.Put[0].ID != "b" {
			t.Errorf("got %+v, want b alone", u)
		}
		q := queries(t, agent)
		if len(q) != 2 {
			t.Fatalf("%d queries, want 2", len(q))
		}
		if q[0].Has("index") || q[0].Has("wait") || q[0].Has("stale") || q[0].Get("dc") != "dc2" {
			t.Errorf("the first query: %v", q[0])
		}
		if q[1].Get("index") != "11" || q[1].Get("wait") != "30000ms" || !q[1].Has("stale") || q[1].Get("dc") != "dc2" {
			t.Errorf("the second query: %v", q[1])
		}
		for _, r := range agent.Requests() {
			if !strings.HasPrefix(r, "GET /v1/health/service/prod--order?") {
				t.Errorf("a watch asks %s", r)
			}
		}
	})
}

// TestWaitEnds: a query without news is made anew at the end of its wait, and there is
// one at a time.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t, consul.WithWait(time.Minute))
		s := watch(t, b, order)
		next(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour+time.Second)
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := agent.Waiting(); n > 1 {
					t.Errorf("%d queries wait", n)
				}
			}
		}()
		if u, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", u, err)
		}
		if n := len(queries(t, agent)); n < 61 || n > 62 {
			t.Errorf("%d queries in an hour, want one a minute", n)
		}
		time.Sleep(time.Minute)
	})
}

// TestIndexBackwards: an index that is smaller than the last one is no reason to wait for
// it to come back; what there is, the leader is asked for, and only the difference is
// told.
func TestIndexBackwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t)
		for _, id := range []string{"a", "b", "c"} {
			put(t, agent, id)
		}
		s := watch(t, b, order)
		next(t, s)
		go func() {
			time.Sleep(time.Second)
			agent.ResetIndex()
			time.Sleep(time.Second)
			put(t, agent, "d")
		}()
		start := time.Now()
		if u := next(t, s); u.Full || len(u.Put) != 1 || u.Put[0].ID != "d" || len(u.Remove) > 0 {
			t.Errorf("got %+v, want d alone", u)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("it took %v, want 2s", took)
		}
		var indexes []string
		for _, q := range queries(t, agent) {
			indexes = append(indexes, q.Get("index"))
		}
		if got, want := strings.Join(indexes, " "), " 13  10"; got != want {
			t.Errorf("indexes %q, want %q", got, want)
		}
	})
}

// TestNoIndex: something that sends none would be asked without an end; it is asked ever
// more slowly.
func TestNoIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t)
		agent.Indexless(true)
		put(t, agent, "a")
		s := watch(t, b, order)
		next(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Next(ctx); err == nil {
			t.Error("news")
		}
		q := queries(t, agent)
		if len(q) < 60 || len(q) > 130 {
			t.Errorf("%d queries in a minute", len(q))
		}
		if q[1].Get("index") != "1" {
			t.Errorf("index %q after none, want 1", q[1].Get("index"))
		}
	})
}

// TestAnswersThatDoNotCount are errors and no empty updates, and say what is wrong. The
// update after it is a full one.
func TestAnswersThatDoNotCount(t *testing.T) {
	for name, tc := range map[string]struct {
		wrong func(*consultest.Agent)
		is    error
		want  string
		opts  []consul.Option
	}{
		"ACL token expired":   {func(a *consultest.Agent) { a.Answer("", 403, "ACL not found") }, consul.ErrDenied, "token is from WithToken", nil},
		"not allowed to read": {func(a *consultest.Agent) { a.Filtered(true) }, consul.ErrDenied, "token from WithToken", nil},
		"no leader":           {func(a *consultest.Agent) { a.Leaderless(true) }, consul.ErrNoLeader, "leader", nil},
		"a server left alone": {func(a *consultest.Agent) { a.Lag(time.Minute) }, consul.ErrNoLeader, "not heard from it for 1m0s", nil},
		"500":                 {func(a *consultest.Agent) { a.Answer("", 500, "rpc error: EOF") }, nil, "answer 500: rpc error: EOF", nil},
		"429":                 {func(a *consultest.Agent) { a.Answer("", 429, "Your IP is issuing too many concurrent connections") }, nil, "limits", nil},
		"a redirect":          {func(a *consultest.Agent) { a.Answer("", 307, "") }, nil, "is that Consul?", nil},
		"another server":      {func(a *consultest.Agent) { a.Answer("", 200, "<html>") }, nil, "is that Consul?", nil},
		"another JSON":        {func(a *consultest.Agent) { a.Answer("", 200, `{"a":1}`) }, nil, "is that Consul?", nil},
		"null":                {func(a *consultest.Agent) { a.Answer("", 200, "null") }, nil, "null", nil},
		"torn":                {func(a *consultest.Agent) { a.Torn(true) }, nil, "EOF", nil},
		"gone":                {func(a *consultest.Agent) { a.Down(true) }, nil, "connection refused (the address is from default)", nil},
		"long":                {func(a *consultest.Agent) { a.Answer("", 500, strings.Repeat("x", 1<<16)) }, nil, "xxx…", nil},
		"Community Edition": {func(a *consultest.Agent) {
			a.Answer("", 400, `Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature`)
		}, nil, `namespace "team" is from WithConsulNamespace`, []consul.Option{consul.WithConsulNamespace("team")}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent, b := newAgent(t, append(tc.opts, consul.WithToken("s3cret"))...)
				put(t, agent, "a")
				s := watch(t, b, order)
				next(t, s)
				for range 2 { // with a query that waits, and with one that does not
					tc.wrong(agent)
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
					_, err := s.Next(ctx)
					cancel()
					if err == nil || errors.Is(err, context.DeadlineExceeded) {
						t.Fatalf("an update, or nothing: %v", err)
					}
					if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "consul: watch prod/order at http://127.0.0.1:8500: ") || len(err.Error()) > 1000 {
						t.Errorf("the error lacks %q: %v", tc.want, err)
					}
					if tc.is != nil && !errors.Is(err, tc.is) {
						t.Errorf("%v is no %v", err, tc.is)
					}
					if strings.Contains(err.Error(), "s3cret") {
						t.Errorf("the error tells a secret: %v", err)
					}
				}
				agent.Answer("", 0, "")
				agent.Filtered(false)
				agent.Leaderless(false)
				agent.Lag(0)
				agent.Torn(false)
				agent.Down(false)
				if u := next(t, s); !u.Full || len(u.Put) != 1 {
					t.Errorf("afterwards: %+v", u)
				}
			})
		})
	}
}

// TestEmptyWithoutToken: Consul answers nothing to who must not read.
func TestEmptyWithoutToken(t *testing.T) {
	for policy, denied := range map[string]bool{"deny": true, "allow": false} {
		t.Run(policy, func(t *testing.T) {
			agent := consultest.New()
			t.Cleanup(agent.Close)
			b := newBackend(t, consul.WithTransport(&withHeader{agent.Transport(), policy}))
			s := watch(t, b, order)
			if u, err := s.Next(t.Context()); errors.Is(err, consul.ErrDenied) != denied || !denied && err != nil {
				t.Errorf("got %v, %v", u, err)
			}
		})
	}
}

// withHeader adds what an agent with access control says of its default.
type withHeader struct {
	next   http.RoundTripper
	policy string
}

func (w *withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil {
		resp.Header.Set("X-Consul-Default-Acl-Policy", w.policy)
	}
	return resp, err
}

// TestHangs: a query that is not answered ends some time after it should have been.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t, consul.WithWait(16*time.Second))
		s := watch(t, b, order)
		next(t, s)
		agent.Hang(true)
		start := time.Now()
		_, err := s.Next(t.Context())
		if took := time.Since(start); took != 22*time.Second || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 22s") {
			t.Errorf("after %v: %v; want 22s: the wait, a sixteenth of it and 5s", took, err)
		}
		agent.Hang(false)
		if u := next(t, s); !u.Full {
			t.Errorf("afterwards: %+v", u)
		}
	})
}

// TestMalformedOnce: an entry that stays as it is is reported once by a watch.
func TestMalformedOnce(t *testing.T) {
	agent, b := newAgent(t)
	bad := func(e *api.ServiceEntry) { e.Service.ID, e.Service.Port = "bad", 0 }
	if err := agent.Put(entry(bad)); err != nil {
		t.Fatal(err)
	}
	s := watch(t, b, order)
	if u := next(t, s); len(u.Malformed) != 1 || u.Malformed[0].Key != "node2/bad" {
		t.Errorf("at first: %+v", u)
	}
	put(t, agent, "a")
	if u := next(t, s); len(u.Malformed) != 0 || len(u.Put) != 1 {
		t.Errorf("with another: %+v", u)
	}
	if err := agent.Put(entry(func(e *api.ServiceEntry) { bad(e); e.Service.Port = -1 })); err != nil {
		t.Fatal(err)
	}
	if u := next(t, s); len(u.Malformed) != 1 {
		t.Errorf("with another fault: %+v", u)
	}
}

// TestConnections: a thousand watches that were opened and closed leave none behind.
func TestConnections(t *testing.T) {
	agent, b := newAgent(t)
	for range 1000 {
		s := watch(t, b, order)
		next(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = s.Next(ctx) // it waits until the watch is closed
		}()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
		cancel()
	}
	waitFor(t, "connections that are idle alone", 5*time.Second, func() bool { return agent.Connections() <= 16 && agent.Waiting() == 0 })
}

// TestOutageOf5Minutes: the agent is away for five minutes, of virtual time, and comes
// back empty. Nobody notices, and everything is registered again, once.
func TestOutageOf5Minutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t)
		var registrars []*discovery.Registrar
		const count = 20
		for n := range count {
			r, err := discovery.NewRegistrar(b, "prod", discovery.Instance{Service: "order", Address: "10.0.0." + string(rune('1'+n%9)) + ":" + string(rune('1'+n/9)) + "000"})
			if err != nil {
				t.Fatal(err)
			}
			registrars = append(registrars, r)
		}
		w, err := discovery.NewWatcher(b, "prod")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		sub, err := w.Subscribe(order, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if n := sub.Snapshot().Instances.Len(); n != count {
			t.Fatalf("%d instances before", n)
		}
		agent.Down(true)
		agent.Forget()
		agent.ResetIndex()
		failed := 0
		look := func(d time.Duration) {
			for range int(d / (100 * time.Millisecond)) {
				time.Sleep(100 * time.Millisecond)
				if snap := sub.Snapshot(); snap.Problem() != nil || snap.Instances.Len() != count {
					failed++
				}
			}
		}
		look(5 * time.Minute)
		if o := sub.Snapshot().Origin; o != discovery.OriginLastKnownGood {
			t.Errorf("the origin is %v while the registry is away", o)
		}
		agent.Down(false)
		look(time.Minute)
		if failed > 0 {
			t.Errorf("%d resolutions failed", failed)
		}
		if snap := sub.Snapshot(); snap.Origin != discovery.OriginLive || snap.Held != 0 || snap.Hold != discovery.HoldNone {
			t.Errorf("a minute later: %+v", snap)
		}
		if n := len(agent.Entries()); n != count {
			t.Errorf("%d entries, want %d", n, count)
		}
		for _, r := range registrars {
			if err := r.Deregister(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if n := len(agent.Entries()); n != 0 {
			t.Errorf("%d ghosts", n)
		}
	})
}
