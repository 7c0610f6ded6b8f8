// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

// TestWeights: endpoints get calls by their weights, by every policy. The bound is five
// standard deviations of a random draw, which a policy that draws keeps but once in a
// million runs, and one in turn by far.
func TestWeights(t *testing.T) {
	weights := map[string][]int{
		"equal":   {1, 1, 1, 1, 1, 1, 1},
		"few":     {1, 2, 5},
		"one big": {1, 1, 1, 1, 1, 1, 1, 1, 1, 100},
		"zero":    {0, 1, 1},
		"extreme": {1, 65535},
		"many":    make([]int, 300),
	}
	for i := range weights["many"] {
		weights["many"][i] = 1 + i%7
	}
	for _, p := range policies {
		for name, w := range weights {
			t.Run(fmt.Sprint(p, "/", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // calls take no time, and are not compared by it
					b := newBalancer(t, instances(len(w), func(i int, in *discovery.Instance) { in.Weight = w[i] }), balancer.WithPolicy(p))
					sum := 0
					for _, w := range w {
						sum += max(w, 1)
					}
					const n = 50_000
					got := share(t, b, n)
					for i, w := range w {
						q := float64(max(w, 1)) / float64(sum)
						want, bound := n*q, 5*math.Sqrt(n*q*(1-q))+1
						if math.Abs(float64(got[id(i)])-want) > bound {
							t.Errorf("%s of weight %d was picked %d times, want %.0f ± %.0f", id(i), w, got[id(i)], want, bound)
						}
					}
				})
			})
		}
	}
}

// TestTurns: in turn, endpoints of equal weight are picked exactly as often, and those of
// different weights within a few picks of it, wherever one begins to count.
func TestTurns(t *testing.T) {
	b := newBalancer(t, instances(7, nil), balancer.WithPolicy(balancer.RoundRobin))
	share(t, b, 3)
	for id, n := range share(t, b, 70) {
		if n != 10 {
			t.Errorf("%s was picked %d times, want 10", id, n)
		}
	}
	weights := []int{5, 1, 1, 3}
	b = newBalancer(t, instances(4, func(i int, in *discovery.Instance) { in.Weight = weights[i] }), balancer.WithPolicy(balancer.RoundRobin))
	for range 100 {
		got := share(t, b, 10)
		for i, w := range weights {
			if d := got[id(i)] - w; d < -2 || d > 2 {
				t.Errorf("%s of weight %d was picked %d times of 10", id(i), w, got[id(i)])
			}
		}
	}
}

// traffic runs so many callers one after the other call for a time, and returns the calls
// by id. took is how long a call to an endpoint takes, and how it ends.
func traffic(b *balancer.Balancer, callers int, d time.Duration, took func(id string) (time.Duration, balancer.Result)) map[string]int {
	type caller struct{ calls map[string]int }
	all := make([]caller, callers)
	end := time.Now().Add(d)
	done := make(chan struct{})
	for i := range all {
		all[i].calls = map[string]int{}
		go func() {
			defer func() { done <- struct{}{} }()
			for time.Now().Before(end) {
				p, ok := b.Pick()
				if !ok {
					return
				}
				id := p.Endpoint().Instance().ID
				all[i].calls[id]++
				d, result := took(id)
				time.Sleep(d)
				p.Done(result)
			}
		}()
	}
	sum := map[string]int{}
	for range all {
		<-done
	}
	for _, c := range all {
		for id, n := range c.calls {
			sum[id] += n
		}
	}
	return sum
}

func of(calls map[string]int, id string) float64 {
	sum := 0
	for _, n := range calls {
		sum += n
	}
	return float64(calls[id]) / float64(sum)
}

func TestSlowEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		took := func(i string) (time.Duration, balancer.Result) {
			if i == id(0) && slow {
				return 100 * time.Millisecond, balancer.OK
			}
			return 10 * time.Millisecond, balancer.OK
		}
		b := newBalancer(t, instances(10, nil), balancer.WithDecay(2*time.Second))
		traffic(b, 5, time.Second, took)
		if got := of(traffic(b, 5, 10*time.Second, took), id(0)); got > 0.02 {
			t.Errorf("an endpoint that is ten times as slow gets %.3f of the calls, want at most 0.02", got)
		}
		slow = false
		traffic(b, 5, 15*time.Second, took) // its old latency is forgotten, and it is measured again
		if got := of(traffic(b, 5, 10*time.Second, took), id(0)); got < 0.07 || got > 0.13 {
			t.Errorf("after it recovered, it gets %.3f of the calls, want about 0.1", got)
		}

		blind := newBalancer(t, instances(10, nil), balancer.WithPolicy(balancer.RoundRobin))
		slow = true
		if got := of(traffic(blind, 5, 10*time.Second, took), id(0)); got < 0.08 {
			t.Errorf("in turn, it gets %.3f of the calls: this test cannot tell", got)
		}
	})
}

// TestLatenciesAlike: what differs by less than a quarter is the same, and weights decide.
func TestLatenciesAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBalancer(t, instances(2, func(i int, in *discovery.Instance) { in.Weight = 1 + 2*i }))
		got := traffic(b, 1, 100*time.Second, func(i string) (time.Duration, balancer.Result) {
			if i == id(0) {
				return 9 * time.Millisecond, balancer.OK
			}
			return 10 * time.Millisecond, balancer.OK
		})
		if share := of(got, id(1)); share < 0.72 || share > 0.78 {
			t.Errorf("the heavier one gets %.3f of the calls, want about 0.75", share)
		}
	})
}

// TestNewcomer: an endpoint of which nothing is known is not taken for a fast one, even
// without a slow start.
func TestNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := func(string) (time.Duration, balancer.Result) { return 10 * time.Millisecond, balancer.OK }
		b := newBalancer(t, instances(1, nil), balancer.WithSlowStart(0, 1))
		traffic(b, 20, time.Second, took)
		b.Update(instances(2, nil))
		if got := of(traffic(b, 20, 10*time.Millisecond, took), id(1)); got < 0.3 || got > 0.7 {
			t.Errorf("a new endpoint gets %.3f of the first calls, want about 0.5", got)
		}
		if got := of(traffic(b, 20, time.Second, took), id(1)); got < 0.4 || got > 0.6 {
			t.Errorf("it then gets %.3f, want about 0.5", got)
		}
	})
}

// TestFailingFast: an endpoint that fails at once does not attract calls by being fast.
func TestFailingFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, result := range []balancer.Result{balancer.Failed, balancer.Overload} {
			b := newBalancer(t, instances(5, nil), balancer.WithoutEjection())
			got := traffic(b, 5, 30*time.Second, func(i string) (time.Duration, balancer.Result) {
				if i == id(0) {
					return 100 * time.Microsecond, result
				}
				return 10 * time.Millisecond, balancer.OK
			})
			if share := of(got, id(0)); share > 0.1 {
				t.Errorf("%v: it gets %.3f of the calls, want at most 0.1", result, share)
			}
		}
	})
}

// TestSomeFailures: one call in twenty that fails costs an endpoint some calls, and not all.
func TestSomeFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBalancer(t, instances(5, nil), balancer.WithoutEjection())
		n := 0
		got := traffic(b, 1, 100*time.Second, func(i string) (time.Duration, balancer.Result) {
			if i == id(0) {
				if n++; n%20 == 0 {
					return 10 * time.Millisecond, balancer.Failed
				}
			}
			return 10 * time.Millisecond, balancer.OK
		})
		if share := of(got, id(0)); share < 0.05 || share > 0.2 {
			t.Errorf("it gets %.3f of the calls, want from 0.05 to 0.2", share)
		}
	})
}

// TestInFlight: where calls hang, no more are sent.
func TestInFlight(t *testing.T) {
	for _, p := range []balancer.Policy{balancer.P2CEWMA, balancer.LeastRequest} {
		b := newBalancer(t, instances(2, func(i int, in *discovery.Instance) { in.Weight = 1 + i }), balancer.WithPolicy(p))
		for range 300 {
			if _, ok := b.Pick(); !ok {
				t.Fatal("there is no endpoint")
			}
		}
		light, heavy := endpoint(t, b, id(0)).InFlight(), endpoint(t, b, id(1)).InFlight()
		if light+heavy != 300 || light < 80 || light > 120 {
			t.Errorf("%v: %d and %d calls in flight by weights 1 and 2, want about 100 and 200", p, light, heavy)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	for _, p := range policies {
		if got, err := balancer.ParsePolicy(p.String()); got != p || err != nil {
			t.Errorf("ParsePolicy(%q) = %v, %v", p, got, err)
		}
	}
	if got, err := balancer.ParsePolicy("weighted_round_robin"); got != balancer.RoundRobin || err != nil {
		t.Errorf("weighted_round_robin is %v, %v", got, err)
	}
	if _, err := balancer.ParsePolicy("P2C"); err == nil || !strings.Contains(err.Error(), `balancer: policy "P2C": must be one of p2c_ewma, least_request`) {
		t.Error(err)
	}
}
