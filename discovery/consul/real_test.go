// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// realHarness puts the back end on an agent that runs.
func realHarness(t discoverytest.TB, s *server, opts ...consul.Option) *discoverytest.Harness {
	b := newBackend(t, append([]consul.Option{consul.WithAddress(s.address), consul.WithWait(10 * time.Second)}, opts...)...)
	texts := 0
	return &discoverytest.Harness{
		Registry: b, Catalog: b, TTL: time.Second, Expiry: 3 * time.Second, Many: 200, // one agent is slow with a thousand
		PutRaw: func(q discovery.Query, text []byte) error {
			texts++
			name := string(q.Namespace) + "--" + q.Service
			body := fmt.Sprintf(`{"ID":"raw-%d","Name":%q,"Meta":{"text":%q}}`, texts, name, text)
			if in, err := discovery.DecodeInstance(text); err == nil {
				body = fmt.Sprintf(`{"ID":"raw-%d","Name":%q,"Port":80,"Meta":{"fairlead-namespace":%q}}`, texts, name, in.Namespace)
			}
			return s.do(http.MethodPut, "/v1/agent/service/register", body, nil)
		},
	}
}

// TestConformanceAgent is the suite on a real agent.
func TestConformanceAgent(t *testing.T) {
	t.Parallel()
	s := devAgent(t)
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness { return realHarness(t, s) },
		discoverytest.Without(discoverytest.WatchLeaks, "it counts goroutines, those of other tests included"))
}

// TestConformanceAgentLeaks has the process to itself.
func TestConformanceAgentLeaks(t *testing.T) {
	s := devAgent(t)
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness { return realHarness(t, s) }, discoverytest.Only(discoverytest.WatchLeaks))
}

// TestConformanceAgentFaults does to a real agent what can be done to one.
func TestConformanceAgentFaults(t *testing.T) {
	t.Parallel()
	s := devAgent(t)
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		h := realHarness(t, s)
		h.TTL = 1500 * time.Millisecond
		h.Faults = map[discoverytest.Fault]discoverytest.Play{
			discoverytest.Restart: func(t discoverytest.TB) func() {
				s.kill()
				return func() { s.start(t); s.ready(t) }
			},
			discoverytest.UnknownCheck: func(t discoverytest.TB) func() {
				s.forgetChecks(t)
				return func() {}
			},
		}
		return h
	}, discoverytest.Only(discoverytest.FaultRule(discoverytest.Restart), discoverytest.FaultRule(discoverytest.UnknownCheck)))
}

// TestConformanceAgentHangs has an agent stand still for longer than a query that is not
// answered is waited for. When it goes on, it ends all times to live before it takes a
// heartbeat.
func TestConformanceAgentHangs(t *testing.T) {
	t.Parallel()
	s := devAgent(t)
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		h := realHarness(t, s, consul.WithWait(time.Second))
		h.TTL = 2500 * time.Millisecond // three of which are longer than a second of waiting, a sixteenth and 5 s
		h.Faults = map[discoverytest.Fault]discoverytest.Play{discoverytest.Hang: func(discoverytest.TB) func() { return s.stop() }}
		return h
	}, discoverytest.Only(discoverytest.FaultRule(discoverytest.Hang)))
}

// forgetChecks removes all checks of the agent.
func (s *server) forgetChecks(t discoverytest.TB) {
	t.Helper()
	var all map[string]any
	if err := s.get("/v1/agent/checks", &all); err != nil {
		t.Fatalf("%v", err)
	}
	for id := range all {
		if err := s.do(http.MethodPut, "/v1/agent/check/deregister/"+url.PathEscape(id), "", nil); err != nil {
			t.Fatalf("%v", err)
		}
	}
}
