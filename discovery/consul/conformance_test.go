// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/consul/internal/consultest"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// switched plays a fault that is switched on and off.
func switched(set func(bool)) discoverytest.Play {
	return func(discoverytest.TB) func() {
		set(true)
		return func() { set(false) }
	}
}

// once plays a fault that is over at once.
func once(f func()) discoverytest.Play {
	return func(discoverytest.TB) func() {
		f()
		return func() {}
	}
}

// flap plays a fault that comes and goes.
func flap(set func(bool)) discoverytest.Play {
	return func(discoverytest.TB) func() {
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for on := true; ; on = !on {
				set(on)
				select {
				case <-time.After(300 * time.Millisecond):
				case <-stop:
					set(false)
					return
				}
			}
		}()
		return func() { close(stop); <-done }
	}
}

// rawEntry is what somebody may leave under the name of a service: text that is no
// answer of Consul as it is, and text of an instance with a mark of its namespace.
func rawEntry(name string, n int, text []byte) string {
	in, err := discovery.DecodeInstance(text)
	if err != nil {
		return fmt.Sprintf(`{"Node":{"Node":"elsewhere"},"Service":{"ID":"raw-%d","Service":%q,"Meta":{"text":%q}}}`, n, name, text)
	}
	quoted, _ := json.Marshal(string(in.Namespace))
	return fmt.Sprintf(`{"Node":{"Node":"elsewhere"},"Service":{"ID":"raw-%d","Service":%q,"Address":"10.9.9.9","Port":80,"Meta":{"fairlead-namespace":%s}}}`, n, name, quoted)
}

// harness puts the back end on a scripted agent.
func harness(t discoverytest.TB, opts ...consul.Option) (*consultest.Agent, *discoverytest.Harness) {
	agent, b := newAgent(t, opts...)
	texts := 0
	return agent, &discoverytest.Harness{
		Registry: b, Catalog: b,
		PutRaw: func(q discovery.Query, text []byte) error {
			texts++
			return agent.Put(rawEntry(string(q.Namespace)+"--"+q.Service, texts, text))
		},
		Faults: map[discoverytest.Fault]discoverytest.Play{
			discoverytest.Outage:       switched(agent.Down),
			discoverytest.Hang:         switched(agent.Hang),
			discoverytest.Empty:        switched(agent.Hide),
			discoverytest.Flap:         flap(agent.Hide),
			discoverytest.LeaderLoss:   switched(agent.Leaderless),
			discoverytest.Disconnect:   once(agent.Cut),
			discoverytest.Forget:       once(agent.Forget),
			discoverytest.LeaseLoss:    once(agent.Expire),
			discoverytest.UnknownCheck: once(agent.DropChecks),
			discoverytest.IndexReset:   once(agent.ResetIndex),
			discoverytest.Slow: func(discoverytest.TB) func() {
				agent.Slow(500 * time.Millisecond)
				return func() { agent.Slow(0) }
			},
			discoverytest.AuthExpiry: switched(func(on bool) {
				if on {
					agent.Answer("", http.StatusForbidden, "ACL not found")
				} else {
					agent.Answer("", 0, "")
				}
			}),
			discoverytest.Restart: func(discoverytest.TB) func() {
				agent.Down(true)
				agent.Forget()
				agent.ResetIndex()
				return func() { agent.Down(false) }
			},
		},
	}
}

// TestConformance is the suite on a scripted agent, in virtual time.
func TestConformance(t *testing.T) {
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		_, h := harness(t)
		return h
	}, discoverytest.InBubble(), discoverytest.Without("fault-compaction", "Consul keeps no history that a query stands on"))
}

// TestConformanceStreaming is what is different for an agent that follows its servers by
// a stream.
func TestConformanceStreaming(t *testing.T) {
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		agent, h := harness(t)
		agent.Streaming(true)
		return h
	}, discoverytest.InBubble(), discoverytest.Only(discoverytest.SeesChanges, discoverytest.WatchContext, discoverytest.NoNews,
		discoverytest.FaultRule(discoverytest.LeaderLoss), discoverytest.FaultRule(discoverytest.IndexReset), discoverytest.FaultRule(discoverytest.Restart)))
}

// TestConformanceNative has Consul keep environments apart.
func TestConformanceNative(t *testing.T) {
	discoverytest.Run(t, func(t discoverytest.TB) *discoverytest.Harness {
		_, h := harness(t, consul.WithNativeNamespaces())
		return h
	}, discoverytest.InBubble(), discoverytest.Only(discoverytest.RoundTrip, discoverytest.SeesChanges, discoverytest.Services, discoverytest.LookupSees))
}
