// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var policies = []balancer.Policy{balancer.P2CEWMA, balancer.LeastRequest, balancer.RoundRobin, balancer.Random}

func newBalancer(t testing.TB, set *discovery.Set, opts ...balancer.Option) *balancer.Balancer {
	t.Helper()
	b, err := balancer.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	b.Update(set)
	return b
}

// instances returns n of them, of weight 1, changed.
func instances(n int, change func(i int, in *discovery.Instance)) *discovery.Set {
	all := make([]discovery.Instance, n)
	for i := range all {
		all[i] = instance(i)
		if change != nil {
			change(i, &all[i])
		}
	}
	return discovery.NewSet(all...)
}

func instance(i int) discovery.Instance {
	return discovery.Instance{
		Namespace: "test", Service: "orders", ID: id(i),
		Address: fmt.Sprintf("10.%d.%d.%d:80", i>>16, i>>8&255, i&255), Weight: 1,
	}
}

func id(i int) string { return fmt.Sprintf("orders-%05d", i) }

// pick returns the id of a picked endpoint, whose call ends well at once.
func pick(t testing.TB, b *balancer.Balancer, avoid ...*balancer.Endpoint) string {
	t.Helper()
	p, ok := b.Pick(avoid...)
	if !ok {
		t.Fatal("there is no endpoint")
	}
	defer p.Done(balancer.OK)
	return p.Endpoint().Instance().ID
}

// share counts n picks by id.
func share(t testing.TB, b *balancer.Balancer, n int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range n {
		out[pick(t, b)]++
	}
	return out
}

func endpoint(t testing.TB, b *balancer.Balancer, id string) *balancer.Endpoint {
	t.Helper()
	for e := range b.All() {
		if e.Instance().ID == id {
			return e
		}
	}
	t.Fatalf("there is no endpoint %s", id)
	return nil
}

// on picks until it gets an endpoint, and returns that pick; the others end as ignored.
func on(t testing.TB, b *balancer.Balancer, id string) balancer.Pick {
	t.Helper()
	for range 100_000 {
		p, ok := b.Pick()
		if !ok {
			t.Fatal("there is no endpoint")
		}
		if p.Endpoint().Instance().ID == id {
			return p
		}
		p.Done(balancer.Ignored)
	}
	t.Fatalf("%s is not picked", id)
	return balancer.Pick{}
}
