// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/discovery/etcd/internal/etcdtest"
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

func fakeHarness(t discoverytest.TB) *discoverytest.Harness {
	s := etcdtest.New()
	s.User("fairlead", "secret")
	b, err := etcd.New(etcd.WithEndpoints("http://etcd:2379"), etcd.WithDialer(s.Dial), etcd.WithUser("fairlead", "secret"))
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		s.Stop()
	})
	texts := 0
	return &discoverytest.Harness{
		Registry: b, Catalog: b,
		PutRaw: func(q discovery.Query, text []byte) error {
			texts++
			s.Put(fmt.Sprintf("%s/%s/raw-%d", etcd.DefaultPrefix, q, texts), text, 0)
			return nil
		},
		Faults: map[discoverytest.Fault]discoverytest.Play{
			discoverytest.Outage:       switched(s.Down),
			discoverytest.Hang:         switched(s.Hang),
			discoverytest.LeaderLoss:   switched(s.NoLeader),
			discoverytest.Empty:        switched(s.Hide),
			discoverytest.UnknownCheck: switched(s.UnknownLeases),
			discoverytest.Disconnect:   once(s.Disconnect),
			discoverytest.Forget:       once(s.RevokeAll),
			discoverytest.LeaseLoss:    once(s.RevokeAll),
			discoverytest.Compaction:   once(s.Compact),
			discoverytest.IndexReset:   once(s.Wipe),
			discoverytest.AuthExpiry:   once(s.ExpireTokens),
			discoverytest.Slow: func(discoverytest.TB) func() {
				s.Slow(200 * time.Millisecond)
				return func() { s.Slow(0) }
			},
			discoverytest.Restart: func(discoverytest.TB) func() {
				s.Down(true)
				s.Wipe()
				return func() { s.Down(false) }
			},
			discoverytest.Flap: func(discoverytest.TB) func() {
				stop, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					for hide := true; ; hide = !hide {
						s.Hide(hide)
						select {
						case <-time.After(300 * time.Millisecond):
						case <-stop:
							s.Hide(false)
							return
						}
					}
				}()
				return func() { close(stop); <-done }
			},
		},
	}
}

// TestConformanceFake plays all rules and faults in virtual time.
func TestConformanceFake(t *testing.T) { discoverytest.Run(t, fakeHarness, discoverytest.InBubble()) }
