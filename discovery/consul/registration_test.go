// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/consul/api"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
)

// full is an instance with everything.
func full() discovery.Instance {
	return discovery.Instance{
		Namespace: "prod", Service: "Order.v1", ID: "A-1", Address: "[2001:db8::1]:8443", Zone: "eu-1a", Weight: 250, Version: "1.2.3+x",
		Tags: []string{"grpc", "canary"}, Metadata: map[string]string{"team": "checkout"},
	}
}

func registration(t *testing.T, b *consul.Backend, in discovery.Instance) discovery.Registration {
	t.Helper()
	r, err := b.Registration(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func register(t *testing.T, r discovery.Registration, ttl time.Duration, h discovery.Health) {
	t.Helper()
	if got, err := r.Register(t.Context(), ttl, h); err != nil || got != ttl {
		t.Fatalf("Register: %v, %v", got, err)
	}
}

// TestWhatIsRegistered compares the entry with the table of the package's documentation.
func TestWhatIsRegistered(t *testing.T) {
	agent, b := newAgent(t, consul.WithTags("traefik.rule=Host(`x`)", "grpc"))
	register(t, registration(t, b, full()), 15*time.Second, discovery.HealthFailing)
	entries := agent.Entries()
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	s, c := entries[0].Service, entries[0].Checks[0]
	s.ModifyIndex = 0
	want := &api.AgentService{
		ID: "prod--!order.v1:!a-1", Service: "prod--!order.v1", Address: "2001:db8::1", Port: 8443,
		Tags: []string{"canary", "grpc", "traefik.rule=Host(`x`)"}, Weights: api.AgentWeights{Passing: 250, Warning: 250},
		Meta: map[string]string{"team": "checkout", "fairlead-namespace": "prod", "fairlead-zone": "eu-1a", "fairlead-version": "1.2.3+x"},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
	if c.CheckID != "service:"+s.ID || c.Status != api.HealthCritical || c.Output == "" {
		t.Errorf("check: %+v", c)
	}
}

// TestStateFromTheBeginning: there is no moment in which an instance is taken for what it
// is not: a new check begins with the state, and one that the agent knows gets it.
func TestStateFromTheBeginning(t *testing.T) {
	agent, b := newAgent(t)
	r := registration(t, b, full())
	agent.Answer("/v1/agent/check/update/", 500, "not now")
	if _, err := r.Register(t.Context(), time.Minute, discovery.HealthPassing); err == nil {
		t.Error("Register says nothing of a check that could not be set")
	}
	if s := agent.Entries()[0].Checks[0].Status; s != api.HealthPassing {
		t.Errorf("the state of a new check is %q", s)
	}
	agent.Answer("/v1/agent/check/update/", 0, "")
	for _, h := range []discovery.Health{discovery.HealthFailing, discovery.HealthPassing, discovery.HealthUnknown} {
		register(t, r, time.Minute, h)
		if in, err := r.Lookup(t.Context()); err != nil || (in.Health == discovery.HealthFailing) != (h == discovery.HealthFailing) {
			t.Errorf("registered again as %v: %v, %v", h, in.Health, err)
		}
	}
}

// TestHandleOfNobody: a process that registered nothing has nothing to renew, and does not
// keep up what another one left.
func TestHandleOfNobody(t *testing.T) {
	agent, b := newAgent(t)
	register(t, registration(t, b, full()), time.Minute, discovery.HealthPassing)
	next := registration(t, b, full())
	if ttl, err := next.Heartbeat(t.Context(), discovery.HealthPassing); !errors.Is(err, discovery.ErrUnknownRegistration) {
		t.Errorf("a heartbeat of the next process: %v, %v", ttl, err)
	}
	if in, err := next.Lookup(t.Context()); err != nil || in.ID != "A-1" {
		t.Errorf("Lookup of the next process: %v, %v", in, err)
	}
	last := agent.Requests()[len(agent.Requests())-1]
	if want := `GET /v1/health/service/prod--%21order.v1?filter=` + url.QueryEscape(`Service.ID == "prod--!order.v1:!a-1"`) + "&stale="; last != want {
		t.Errorf("Lookup asks\n%s, not for one alone\n%s", last, want)
	}
}

// TestRegistrationsThatConsulCannotHold are refused before anything is sent.
func TestRegistrationsThatConsulCannotHold(t *testing.T) {
	agent, b := newAgent(t)
	for name, tc := range map[string]struct {
		change func(*discovery.Instance)
		want   []string
	}{
		"port 0":          {func(in *discovery.Instance) { in.Address = "10.0.0.1:0" }, []string{"address", "10.0.0.1:0"}},
		"no namespace":    {func(in *discovery.Instance) { in.Namespace = "" }, []string{"namespace"}},
		"Consul's prefix": {func(in *discovery.Instance) { in.Metadata = map[string]string{"consul-x": "1"} }, []string{`metadata key "consul-x"`, "consul-"}},
		"too many": {func(in *discovery.Instance) {
			in.Metadata = map[string]string{}
			for n := range discovery.MaxMetadata {
				in.Metadata[fmt.Sprint("k", n)] = "v"
			}
		}, []string{"number of metadata 64", "at most 61"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := full()
			tc.change(&in)
			_, err := b.Registration(in)
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
		})
	}
	r := registration(t, b, full())
	if _, err := r.Register(t.Context(), 0, discovery.HealthPassing); err == nil || !strings.Contains(err.Error(), "TTL 0s") {
		t.Errorf("a TTL of 0: %v", err)
	}
	if got := agent.Requests(); len(got) != 0 {
		t.Errorf("requests were sent: %v", got)
	}
}

// TestTwoProcessesWithOneID: the second one takes the place of the first, which leaves it
// alone from then on.
func TestTwoProcessesWithOneID(t *testing.T) {
	agent, b := newAgent(t)
	first, second := full(), full()
	second.Address = "10.0.0.2:80"
	one, two := registration(t, b, first), registration(t, b, second)
	register(t, one, time.Minute, discovery.HealthPassing)
	register(t, two, time.Minute, discovery.HealthPassing)
	if err := one.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	if in, err := one.Lookup(t.Context()); err != nil || in.Address != second.Address || len(agent.Entries()) != 1 {
		t.Errorf("after the first one has deregistered: %v, %v, %d entries", in.Address, err, len(agent.Entries()))
	}
	if err := two.Deregister(t.Context()); err != nil || len(agent.Entries()) != 0 {
		t.Errorf("after the second one has deregistered: %v, %d entries", err, len(agent.Entries()))
	}
}

// TestOldAgentsAnswer: an agent before Consul 1.11 has another code for the same thing.
func TestUnknownCheckOfOldAgents(t *testing.T) {
	agent, b := newAgent(t)
	r := registration(t, b, full())
	register(t, r, time.Minute, discovery.HealthPassing)
	for text, unknown := range map[string]bool{
		`CheckID "service:x" does not have associated TTL`: true,
		"rpc error making call: No cluster leader":         false,
	} {
		agent.Answer("/v1/agent/check/update/", 500, text)
		if _, err := r.Heartbeat(t.Context(), discovery.HealthPassing); err == nil || errors.Is(err, discovery.ErrUnknownRegistration) != unknown {
			t.Errorf("%q is %v", text, err)
		}
	}
	agent.Answer("/v1/agent/check/update/", 404, "<html>404 page not found, of a proxy</html>")
	if _, err := r.Heartbeat(t.Context(), discovery.HealthPassing); err == nil || errors.Is(err, discovery.ErrUnknownRegistration) || !strings.Contains(err.Error(), "is that Consul?") {
		t.Errorf("a 404 of something else is %v", err)
	}
}

// TestWhatAKilledProcessLeaves is failing after its time to live, and gone some time
// later.
func TestWhatAKilledProcessLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent, b := newAgent(t, consul.WithDeregisterAfter(time.Minute))
		r := registration(t, b, full())
		register(t, r, 10*time.Second, discovery.HealthPassing)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if in, err := r.Lookup(t.Context()); err != nil || in.Health != discovery.HealthFailing {
			t.Errorf("after its time to live: %v, %v", in.Health, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := r.Heartbeat(t.Context(), discovery.HealthPassing); !errors.Is(err, discovery.ErrUnknownRegistration) {
			t.Errorf("a minute later: %v", err)
		}
		if n := len(agent.Entries()); n != 0 {
			t.Errorf("%d entries", n)
		}
	})
}

// entry is one of an answer, as others may have written it.
func entry(change func(*api.ServiceEntry)) string {
	e := &api.ServiceEntry{
		Node:    &api.Node{Node: "node2", Address: "10.2.0.1"},
		Service: &api.AgentService{ID: "by-hand", Service: "prod--order", Port: 80},
	}
	change(e)
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// next returns the next update of a watch.
func next(t *testing.T, s discovery.Source) discovery.Update {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	u, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func watch(t *testing.T, b *consul.Backend, q discovery.Query) discovery.Source {
	t.Helper()
	s, err := b.Watch(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var order = discovery.Query{Namespace: "prod", Service: "order"}

// TestEntriesOfOthers: what was registered by hand, or by another program, under the same
// name is an instance if it can be called; what cannot be is reported.
func TestEntriesOfOthers(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*api.ServiceEntry)
		want   *discovery.Instance
		fault  string
	}{
		"by hand": {func(*api.ServiceEntry) {}, &discovery.Instance{ID: "by-hand", Address: "10.2.0.1:80", Weight: 1}, ""},
		"with everything": {func(e *api.ServiceEntry) {
			e.Service.Address, e.Service.Weights.Passing = "order.internal", 7
			e.Service.Tags, e.Service.Meta = []string{"v1", "not a tag of ours", "a"}, map[string]string{"team": "x", "fairlead-zone": "eu"}
			e.Checks = api.HealthChecks{{Status: api.HealthPassing}, {Status: api.HealthWarning}}
		}, &discovery.Instance{ID: "by-hand", Address: "order.internal:80", Weight: 7, Zone: "eu", Tags: []string{"a", "v1"}, Metadata: map[string]string{"team": "x"}, Health: discovery.HealthPassing}, ""},
		"an id that is none": {func(e *api.ServiceEntry) { e.Service.ID = "a/../b" }, &discovery.Instance{ID: "order@10.2.0.1:80", Address: "10.2.0.1:80", Weight: 1}, ""},
		"in maintenance": {func(e *api.ServiceEntry) {
			e.Checks = api.HealthChecks{{Status: api.HealthPassing}, {Status: api.HealthMaint}}
		}, &discovery.Instance{ID: "by-hand", Address: "10.2.0.1:80", Weight: 1, Health: discovery.HealthFailing}, ""},
		"a node that is gone": {func(e *api.ServiceEntry) {
			e.Checks = api.HealthChecks{{CheckID: "serfHealth", Status: api.HealthCritical}}
		}, &discovery.Instance{ID: "by-hand", Address: "10.2.0.1:80", Weight: 1, Health: discovery.HealthFailing}, ""},
		"no port":            {func(e *api.ServiceEntry) { e.Service.Port = 0 }, nil, "10.2.0.1:0"},
		"no address":         {func(e *api.ServiceEntry) { e.Node.Address = "" }, nil, "address"},
		"a weight too large": {func(e *api.ServiceEntry) { e.Service.Weights.Passing = 1 << 20 }, nil, "weight"},
		"another's mark":     {func(e *api.ServiceEntry) { e.Service.Meta = map[string]string{"fairlead-namespace": "dev"} }, nil, `belongs to "dev"`},
		"a mark, and no id":  {func(e *api.ServiceEntry) { e.Service.Meta = map[string]string{"fairlead-namespace": "prod"} }, nil, "id"},
		"another case":       {func(e *api.ServiceEntry) { e.Service.Service = "PROD--order" }, nil, "its name is not prod--order"},
	} {
		t.Run(name, func(t *testing.T) {
			agent, b := newAgent(t)
			if err := agent.Put(entry(tc.change)); err != nil {
				t.Fatal(err)
			}
			u := next(t, watch(t, b, order))
			var want []discovery.Instance
			if tc.want != nil {
				tc.want.Namespace, tc.want.Service = "prod", "order"
				want = append(want, *tc.want)
			}
			if diff := cmp.Diff(want, append([]discovery.Instance(nil), u.Put...)); diff != "" {
				t.Errorf("instances (-want +got):\n%s", diff)
			}
			if tc.fault == "" && len(u.Malformed) > 0 {
				t.Errorf("reported: %v", u.Malformed)
			}
			if tc.fault != "" && (len(u.Malformed) != 1 || !strings.Contains(u.Malformed[0].Err.Error(), tc.fault) || u.Malformed[0].Key == "") {
				t.Errorf("reported: %v, want one with %q", u.Malformed, tc.fault)
			}
		})
	}
}

// TestOneIDOnTwoNodes: an instance that moved to another agent is seen once, as it is
// there.
func TestOneIDOnTwoNodes(t *testing.T) {
	at := func(node, address, status string, index uint64, meta map[string]string) string {
		return entry(func(e *api.ServiceEntry) {
			e.Node.Node, e.Service.ID, e.Service.Address, e.Service.ModifyIndex = node, "prod--order:x", address, index
			e.Service.Meta = maps.Clone(meta)
			e.Checks = api.HealthChecks{{Status: status}}
		})
	}
	ours := map[string]string{"fairlead-namespace": "prod"}
	for name, entries := range map[string][2]string{
		"the newer":             {at("a", "10.0.0.1", api.HealthPassing, 5, ours), at("b", "10.0.0.9", api.HealthPassing, 6, ours)},
		"the one that lives":    {at("a", "10.0.0.1", api.HealthCritical, 7, ours), at("b", "10.0.0.9", api.HealthPassing, 6, ours)},
		"ours":                  {at("a", "10.0.0.1", api.HealthPassing, 7, nil), at("b", "10.0.0.9", api.HealthPassing, 6, ours)},
		"the same one at least": {at("b", "10.0.0.1", api.HealthPassing, 7, ours), at("a", "10.0.0.9", api.HealthPassing, 7, ours)},
	} {
		for _, turn := range []int{0, 1} {
			u, err := consul.Decode(order, fmt.Appendf(nil, "[%s,%s]", entries[turn], entries[1-turn]))
			if err != nil {
				t.Fatal(err)
			}
			if len(u[0].Put) != 1 || u[0].Put[0].Address != "10.0.0.9:80" {
				t.Errorf("%s: %v", name, u[0].Put)
			}
		}
	}
}
