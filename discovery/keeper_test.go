// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

func numbers(from, to int) []int {
	var out []int
	for n := from; n < to; n++ {
		out = append(out, n)
	}
	return out
}

func TestRegistryAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2)
		w.want(live, none, 1, 2)
		good := time.Now()
		w.registry.Faults().Down(true)
		s := w.want(lastGood, none, 1, 2)
		if !errors.Is(s.Err, memory.ErrAway) || !s.At.Equal(good) || s.Problem() != nil {
			t.Errorf("snapshot %+v, problem %v", s, s.Problem())
		}
		time.Sleep(time.Hour - time.Nanosecond)
		w.want(lastGood, none, 1, 2)
		time.Sleep(time.Nanosecond)
		if s := w.want(discovery.OriginNone, none); !errors.Is(s.Problem(), discovery.ErrStale) || !errors.Is(s.Problem(), memory.ErrAway) {
			t.Errorf("problem %v", s.Problem())
		}
		w.put() // nothing: the registry still knows what it knew
		w.registry.Faults().Down(false)
		time.Sleep(5 * time.Second)
		w.register(order(1))
		w.register(order(2))
		w.want(live, none, 1, 2)
	}, discovery.WithMaxStale(time.Hour))
}

func TestNeverStale(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1)
		w.registry.Faults().Down(true)
		time.Sleep(30 * time.Hour)
		w.want(lastGood, none, 1)
	}, discovery.WithoutMaxStale())
}

func TestEmptyAnswers(t *testing.T) {
	for _, tc := range []struct {
		name string
		opt  discovery.WatcherOption
		hold time.Duration // -1: for ever
	}{
		{"the default", discovery.WithConfirmTime(30 * time.Second), 10 * time.Minute},
		{"for a minute", discovery.WithEmptyHold(time.Minute), time.Minute},
		{"trusted", discovery.WithEmptyTrusted(), 0},
		{"held for ever", discovery.WithEmptyHeldForever(), -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.put(1, 2, 3)
				w.want(live, none, 1, 2, 3)
				w.registry.Faults().Hide(true)
				if tc.hold == 0 {
					w.want(live, none)
					// What was believed is over: the next one does not bring it back.
					w.remove(1, 2, 3)
					w.registry.Faults().Hide(false)
					w.put(9)
					w.want(live, none, 9)
					return
				}
				s := w.want(live, discovery.HoldEmpty, 1, 2, 3)
				if s.Held != 3 {
					t.Errorf("%d held, want 3", s.Held)
				}
				if err := w.watcher.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "prod/order: 3 of 3 instances are not listed by the registry and held (empty)") {
					t.Errorf("check: %v", err)
				}
				if tc.hold < 0 {
					time.Sleep(1000 * time.Hour)
					if s := w.want(live, discovery.HoldEmpty, 1, 2, 3); !s.Until.IsZero() {
						t.Errorf("until %v", s.Until)
					}
					return
				}
				if want := time.Now().Add(tc.hold); !s.Until.Equal(want) {
					t.Errorf("until %v, want %v", s.Until, want)
				}
				time.Sleep(tc.hold - time.Nanosecond)
				w.want(live, discovery.HoldEmpty, 1, 2, 3)
				time.Sleep(time.Nanosecond)
				w.want(live, none)
				// What was believed is over: it does not come back with the next one.
				w.remove(1, 2, 3)
				w.registry.Faults().Hide(false)
				w.put(9)
				w.want(live, none, 9)
			}, tc.opt)
		})
	}
}

// TestRegistryThatForgets: all are gone and come back one by one; meanwhile, nobody is
// missing.
func TestRegistryThatForgets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2, 3, 4)
		w.registry.Faults().Forget()
		version := w.want(live, discovery.HoldEmpty, 1, 2, 3, 4).Version
		time.Sleep(3 * time.Second)
		for n := 1; n <= 3; n++ {
			w.put(n)
			if s := w.want(live, discovery.HoldRecovery, 1, 2, 3, 4); s.Version != version {
				t.Errorf("version %d, want %d: the instances are the same", s.Version, version)
			}
			time.Sleep(time.Second)
		}
		// The fourth one really died. It has the confirm time, from the first answer
		// that was not empty.
		time.Sleep(27*time.Second - time.Nanosecond)
		w.want(live, discovery.HoldRecovery, 1, 2, 3, 4)
		time.Sleep(time.Nanosecond)
		w.want(live, none, 1, 2, 3)
	})
}

// TestBackWithHalf: after it was away, a registry lists what has registered already.
func TestBackWithHalf(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2, 3, 4)
		w.registry.Faults().Down(true)
		synctest.Wait()
		w.registry.Faults().Forget()
		for _, n := range []int{1, 2, 3, 5} {
			w.t.Helper()
			w.registry.Faults().Put(orders, "", must[[]byte](t)(discovery.EncodeInstance(order(n))))
		}
		w.registry.Faults().Down(false)
		time.Sleep(100 * time.Millisecond)
		s := w.want(live, discovery.HoldRecovery, 1, 2, 3, 4, 5)
		if s.Held != 1 || !s.Until.Equal(time.Now().Add(30*time.Second)) {
			t.Errorf("%d held until %v", s.Held, s.Until)
		}
		time.Sleep(30 * time.Second)
		w.want(live, none, 1, 2, 3, 5)
	})
}

func TestChurnBrake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(numbers(0, 10)...)
		// Half of them may go, one by one: that is not more than half.
		for n := range 5 {
			w.remove(n)
			time.Sleep(time.Second)
		}
		w.want(live, none, numbers(5, 10)...)
		// One more within the confirm time, and all of them are back.
		w.remove(5)
		s := w.want(live, discovery.HoldChurn, numbers(0, 10)...)
		if s.Held != 6 || !s.Until.Equal(time.Now().Add(30*time.Second)) {
			t.Errorf("%d held until %v", s.Held, s.Until)
		}
		// Changes and additions are shown at once.
		w.put(20)
		w.want(live, discovery.HoldChurn, append(numbers(0, 10), 20)...)
		// One comes back in earnest; the brake is off, as 5 of 11 are not too many.
		w.put(0)
		w.want(live, none, 0, 6, 7, 8, 9, 20)
	}, discovery.WithConfirmTime(30*time.Second))
}

func TestChurnIsBelievedInTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(numbers(0, 10)...)
		w.remove(numbers(0, 8)...)
		w.want(live, discovery.HoldChurn, numbers(0, 10)...)
		time.Sleep(30*time.Second - time.Nanosecond)
		w.want(live, discovery.HoldChurn, numbers(0, 10)...)
		time.Sleep(time.Nanosecond)
		w.want(live, none, 8, 9)
	})
}

func TestFewInstancesHaveNoBrake(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2, 3, 4)
		w.remove(1, 2, 3)
		w.want(live, none, 4)
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2, 3, 4, 5)
		w.remove(1, 2, 3)
		w.want(live, discovery.HoldChurn, 1, 2, 3, 4, 5)
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.put(numbers(0, 10)...)
		w.remove(numbers(0, 9)...)
		w.want(live, none, 9)
	}, discovery.WithoutChurnBrake())
}

// TestLastOneGone: a service of three that expires one by one within the confirm time
// was a service of three.
func TestLastOneGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(1, 2, 3)
		w.remove(1)
		time.Sleep(time.Second)
		w.remove(2)
		w.want(live, none, 3)
		w.remove(3)
		w.want(live, discovery.HoldEmpty, 1, 2, 3)
	})
}

// TestHeldWhileAway: what is held when the registry goes away stays, and has its time
// after that.
func TestHeldWhileAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.put(numbers(0, 10)...)
		w.remove(numbers(0, 8)...)
		w.want(live, discovery.HoldChurn, numbers(0, 10)...)
		w.registry.Faults().Down(true)
		time.Sleep(10 * time.Minute)
		w.want(lastGood, discovery.HoldChurn, numbers(0, 10)...)
		w.registry.Faults().Down(false)
		w.sub.Refresh()
		time.Sleep(100 * time.Millisecond)
		w.want(live, discovery.HoldRecovery, numbers(0, 10)...)
		time.Sleep(30 * time.Second)
		w.want(live, none, 8, 9)
	})
}

// TestKeeperHolds plays random histories to a watcher, and holds it to what it
// promises.
func TestKeeperHolds(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		const most = 12
		inWorld(t, func(t *testing.T, w *world) {
			registered := map[int]bool{}
			for n := range most {
				w.put(n)
				registered[n] = true
			}
			down, hidden := false, false
			for range 80 {
				switch n := rnd.IntN(most); rnd.IntN(7) {
				case 0:
					down = !down
					w.registry.Faults().Down(down)
				case 1:
					hidden = !hidden
					w.registry.Faults().Hide(hidden)
				case 2:
					w.registry.Faults().Cut()
				case 3, 4:
					if !down {
						w.remove(n)
						delete(registered, n)
					}
				default:
					if !down {
						w.put(n)
						registered[n] = true
					}
				}
				time.Sleep(time.Duration(rnd.IntN(8000)) * time.Millisecond)
				synctest.Wait()
				s := w.sub.Snapshot()
				if s.Instances.Len() == 0 {
					t.Fatalf("seed %d: no instance is left: %+v", seed, s)
				}
				if s.Origin == live && !hidden {
					for n := range registered {
						if s.Instances.Get(order(n).ID) == nil {
							t.Fatalf("seed %d: %s is registered and not seen: %+v", seed, order(n).ID, s)
						}
					}
				}
				if s.Hold == discovery.HoldNone && s.Held != 0 || s.Hold != discovery.HoldNone && s.Held == 0 {
					t.Fatalf("seed %d: hold %s of %d", seed, s.Hold, s.Held)
				}
			}
			// When it is quiet, the registry is right.
			w.registry.Faults().Down(false)
			w.registry.Faults().Hide(false)
			w.put(0)
			registered[0] = true
			time.Sleep(5*time.Second + 30*time.Second)
			var want []int
			for n := range most {
				if registered[n] {
					want = append(want, n)
				}
			}
			w.want(live, none, want...)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}, discovery.WithEmptyHeldForever())
	}
}

// TestTenThousandGone: what a hold costs with many instances.
func TestTenThousandGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const n = 10_000
		w.put(numbers(0, n)...)
		w.registry.Faults().Forget()
		s := w.want(live, discovery.HoldEmpty, numbers(0, n)...)
		if s.Held != n {
			t.Errorf("%d held, want %d", s.Held, n)
		}
		w.put(numbers(0, 100)...)
		s = w.sub.Snapshot()
		if s.Instances.Len() != n || s.Held != n-100 {
			t.Errorf("%d instances, %d held", s.Instances.Len(), s.Held)
		}
		w.put(numbers(100, n)...)
		w.want(live, none, numbers(0, n)...)
	})
}

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		got  fmt.Stringer
		want string
	}{
		{discovery.OriginNone, "none"}, {discovery.OriginLive, "live"}, {discovery.OriginLastKnownGood, "last-known-good"},
		{discovery.OriginDisk, "disk"}, {discovery.OriginFallback, "fallback"}, {discovery.Origin(9), "invalid"},
		{discovery.HoldNone, "none"}, {discovery.HoldEmpty, "empty"}, {discovery.HoldChurn, "churn"}, {discovery.HoldRecovery, "recovery"}, {discovery.Hold(9), "invalid"},
		{discovery.StatePending, "pending"}, {discovery.StateStopped, "stopped"}, {discovery.State(99), "invalid"},
		{discovery.HealthUnknown, "unknown"}, {discovery.HealthPassing, "passing"}, {discovery.HealthFailing, "failing"}, {discovery.Health(9), "invalid"},
	} {
		if tc.got.String() != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}
