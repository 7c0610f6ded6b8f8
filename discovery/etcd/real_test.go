// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// realTTL is more than the shortest that etcd grants.
const realTTL = 2 * time.Second

func realHarness(b *etcd.Backend) *discoverytest.Harness {
	var texts atomic.Int64
	return &discoverytest.Harness{
		Registry: b, Catalog: b, TTL: realTTL,
		PutRaw: func(q discovery.Query, text []byte) error {
			ctx, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			_, err := b.Client().Put(ctx, fmt.Sprintf("%s/%s/raw-%d", etcd.DefaultPrefix, q, texts.Add(1)), string(text))
			return err
		},
	}
}

// TestConformance plays the rules with a real etcd. Those that have to wait do it at the
// same time as the others.
func TestConformance(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	var slow, quick []discoverytest.Rule
	for _, info := range discoverytest.Rules() {
		if strings.HasPrefix(string(info.Rule), "fault-") || info.Rule == discoverytest.WatchLeaks {
			continue // in tests of their own
		}
		switch info.Rule {
		case discoverytest.HeartbeatKeeps, discoverytest.TTLExpires, discoverytest.DeregisterGone, discoverytest.ManyInstances, discoverytest.NoNews, discoverytest.MalformedEntry:
			slow = append(slow, info.Rule)
		default:
			quick = append(quick, info.Rule)
		}
	}
	play := func(t *testing.T, rules ...discoverytest.Rule) {
		t.Parallel()
		b := realBackend(t, etcd.WithEndpoints(server.endpoint))
		discoverytest.Run(t, func(discoverytest.TB) *discoverytest.Harness { return realHarness(b) }, discoverytest.Only(rules...))
	}
	for _, r := range slow {
		t.Run(string(r), func(t *testing.T) { play(t, r) })
	}
	t.Run("others", func(t *testing.T) { play(t, quick...) })
}

// TestConformanceLeaks opens and closes a thousand watches, while nobody else has
// goroutines to count.
func TestConformanceLeaks(t *testing.T) {
	p := newProxy(t, startServer(t).endpoint)
	b := realBackend(t, etcd.WithEndpoints(p.endpoint()))
	if !discoverytest.Check(t, discoverytest.WatchLeaks, realHarness(b)) {
		t.Error("the rule was not played")
	}
	if n := p.count(); n != 1 {
		t.Errorf("%d connections after it, want 1", n)
	}
}

// TestConformanceFaults plays what can be done to a real etcd, to one of its own for each.
func TestConformanceFaults(t *testing.T) {
	t.Parallel()
	type world struct {
		server *process
		proxy  *proxy
		admin  *clientv3.Client
	}
	for fault, play := range map[discoverytest.Fault]func(*testing.T, *world) (end func()){
		discoverytest.Outage: func(_ *testing.T, w *world) func() {
			w.server.kill()
			return func() { w.server.start(); w.server.ready() }
		},
		discoverytest.Hang: func(_ *testing.T, w *world) func() { return w.server.stop() },
		discoverytest.Slow: func(_ *testing.T, w *world) func() {
			w.proxy.slow(50 * time.Millisecond)
			return func() { w.proxy.slow(0) }
		},
		discoverytest.Disconnect: func(_ *testing.T, w *world) func() { w.proxy.cut(true); return func() {} },
		discoverytest.Restart:    func(_ *testing.T, w *world) func() { w.server.restart(); return func() {} },
		discoverytest.Forget: func(t *testing.T, w *world) func() {
			if _, err := w.admin.Delete(call(t), "", clientv3.WithPrefix()); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
		discoverytest.LeaseLoss: func(t *testing.T, w *world) func() {
			w.proxy.stall(true) // who sees them go one by one has no reason to doubt it
			revokeAll(t, w.admin)
			w.proxy.cut(false)
			w.proxy.stall(false)
			return func() {}
		},
		discoverytest.IndexReset: func(_ *testing.T, w *world) func() {
			w.server.wipe()
			w.server.start()
			w.server.ready()
			return func() {}
		},
		discoverytest.Compaction: func(t *testing.T, w *world) func() {
			w.proxy.stall(true)
			revision := churn(t, w.admin, 50)
			if _, err := w.admin.Compact(call(t), revision, clientv3.WithCompactPhysical()); err != nil {
				t.Fatal(err)
			}
			w.proxy.cut(false)
			w.proxy.stall(false)
			return func() {}
		},
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			w := &world{server: startServer(t)}
			w.proxy = newProxy(t, w.server.endpoint)
			w.admin = realBackend(t, etcd.WithEndpoints(w.server.endpoint)).Client()
			b := realBackend(t, etcd.WithEndpoints(w.proxy.endpoint()))
			h := realHarness(b)
			h.Faults = map[discoverytest.Fault]discoverytest.Play{fault: func(discoverytest.TB) func() { return play(t, w) }}
			if !discoverytest.Check(t, discoverytest.FaultRule(fault), h) {
				t.Error("the fault was not played")
			}
		})
	}
}

func revokeAll(t *testing.T, c *clientv3.Client) {
	t.Helper()
	leases, err := c.Leases(call(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases.Leases {
		if _, err := c.Revoke(call(t), l.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// churn writes what nobody watches, and returns the last revision.
func churn(t *testing.T, c *clientv3.Client, n int) (revision int64) {
	t.Helper()
	for range n {
		resp, err := c.Put(call(t), "churn", "x")
		if err != nil {
			t.Fatal(err)
		}
		revision = resp.Header.Revision
	}
	return revision
}
