// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func TestConformance(t *testing.T) {
	discoverytest.Run(t, func(discoverytest.TB) *discoverytest.Harness {
		r := memory.New()
		faults, texts := r.Faults(), 0
		return &discoverytest.Harness{
			Registry: r, Catalog: r,
			PutRaw: func(q discovery.Query, text []byte) error {
				texts++
				faults.Put(q, fmt.Sprint("raw-", texts), text)
				return nil
			},
			Faults: map[discoverytest.Fault]discoverytest.Play{
				discoverytest.Outage:     switched(faults.Down),
				discoverytest.Hang:       switched(faults.Hang),
				discoverytest.Empty:      switched(faults.Hide),
				discoverytest.Disconnect: once(faults.Cut),
				discoverytest.Forget:     once(faults.Forget),
				discoverytest.Slow: func(discoverytest.TB) func() {
					faults.Slow(500 * time.Millisecond)
					return func() { faults.Slow(0) }
				},
				discoverytest.Restart: func(discoverytest.TB) func() {
					faults.Down(true)
					faults.Forget()
					return func() { faults.Down(false) }
				},
				discoverytest.Flap: func(discoverytest.TB) func() {
					stop, done := make(chan struct{}), make(chan struct{})
					go func() {
						defer close(done)
						for hide := true; ; hide = !hide {
							faults.Hide(hide)
							select {
							case <-time.After(300 * time.Millisecond):
							case <-stop:
								faults.Hide(false)
								return
							}
						}
					}()
					return func() { close(stop); <-done }
				},
			},
		}
	}, discoverytest.InBubble())
}
