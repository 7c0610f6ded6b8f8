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

// zoned returns instances, a letter each, in the zones of these letters; "-" is none. Those in
// upper case weigh two.
func zoned(zones string) *discovery.Set {
	return instances(len(zones), func(i int, in *discovery.Instance) {
		in.Zone = strings.Trim(strings.ToLower(zones[i:i+1]), "-")
		if zones[i] >= 'A' && zones[i] <= 'Z' {
			in.Weight = 2
		}
	})
}

func TestZones(t *testing.T) {
	for _, c := range []struct {
		zones string
		own   string
		down  string // "x" where an endpoint is unreachable
		want  float64
		why   string
	}{
		{"aabbcc", "a", "", 1, "a third is here, of callers, too"},
		{"aabbcc", "", "", 1, "no zone is preferred"},
		{"aaa", "a", "", 1, "there is no other zone"},
		{"bbb", "a", "", 0, "nothing is here"},
		{"abbbbb", "a", "", 1.4 / 6 * 2, "half of the callers for a sixth of the endpoints"},
		{"abbcc", "a", "", 1.4 / 5 * 3, "a third for a fifth"},
		{"Abbcc", "a", "", 1, "a third for a third of the weight"},
		{"aaabbbccc", "a", "x", 1, "one of three here is away: the others can take it"},
		{"aaabbbccc", "a", "xx", 1.4 * 1 / 7 * 3, "two are"},
		{"aaabbbccc", "a", "xxx", 0, "all are: nothing is here"},
		{"aaabbbccc", "a", "xx-xx-xx-", 1, "as many are away everywhere: it helps nobody to go there"},
		{"aaabbbccc", "a", "---xxxxxx", 1, "there is nowhere else"},
		{"aabb--", "a", "", 1, "who does not say where it is counts as elsewhere"},
		{"------", "a", "", 0, "nobody says where it is"},
	} {
		t.Run(c.zones+"/"+c.own+"/"+c.down, func(t *testing.T) {
			for _, p := range policies {
				b := newBalancer(t, zoned(c.zones), balancer.WithZone(c.own), balancer.WithPolicy(p), balancer.WithBackoff(time.Hour, time.Hour))
				for e := range b.All() {
					for i := range c.down {
						if c.down[i] == 'x' && e.Instance().ID == id(i) {
							e.Suspend()
						}
					}
				}
				if got := b.Stats().Near; math.Abs(got-c.want) > 1e-6 {
					t.Errorf("%v: %.3f of the calls are for here, want %.3f: %s", p, got, c.want, c.why)
				}
				const n = 10_000
				here := 0
				for i, k := range share(t, b, n) {
					for j := range c.zones {
						if id(j) == i && (c.own == "" || strings.EqualFold(c.zones[j:j+1], c.own)) {
							here += k
						}
					}
				}
				if bound := 5*math.Sqrt(n*c.want*(1-c.want)) + 0.5; math.Abs(float64(here)-n*c.want) > bound {
					t.Errorf("%v: %d of %d calls stay here, want %.0f ± %.0f", p, here, n, n*c.want, bound)
				}
				s := b.Stats().Picks
				if c.own == "" && s.Any != n || c.own != "" && (s.Local != uint64(here) || s.Spilled != uint64(n-here)) {
					t.Errorf("%v: counted %+v, want %d local of %d", p, s, here, n)
				}
			}
		})
	}
}

// TestZoneEvents: the observer hears of a share that changes, and slow start counts in it.
func TestZoneEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l journal
		b := newBalancer(t, zoned("bbb"), balancer.WithZone("a"), balancer.WithObserver(l.observer()), balancer.WithZoneOverprovision(1))
		l.told(t, "+3 -0 ~0 =3")
		b.Update(zoned("bbba")) // weighs a tenth yet
		l.told(t, "+1 -0 ~0 =4", fmt.Sprintf("a: 0.00 to %.2f", 0.1/3.1*2))
		time.Sleep(time.Hour)
		b.Stats()
		l.told(t, "a: 0.06 to 0.50")
		if s := b.Stats(); s.Near != 0.5 {
			t.Errorf("%+v", s)
		}
	})
}
