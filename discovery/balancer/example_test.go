// SPDX-License-Identifier: Apache-2.0

package balancer_test

import (
	"fmt"
	"log"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
)

func Example() {
	b, err := balancer.New(balancer.WithZone("eu-1a"))
	if err != nil {
		log.Fatal(err)
	}
	b.Update(discovery.NewSet(
		discovery.Instance{ID: "1", Address: "10.0.0.1:80", Zone: "eu-1a"},
		discovery.Instance{ID: "2", Address: "10.0.0.2:80", Zone: "eu-1b"},
	))
	pick, ok := b.Pick()
	fmt.Println(ok, pick.Endpoint().Instance().Address)
	pick.Done(balancer.Unreachable) // at once, nobody else is sent there

	pick, ok = b.Pick()
	fmt.Println(ok, pick.Endpoint().Instance().Address)
	pick.Done(balancer.OK)
	// Output:
	// true 10.0.0.1:80
	// true 10.0.0.2:80
}

func ExampleBalancer_Pick() {
	b, err := balancer.New()
	if err != nil {
		log.Fatal(err)
	}
	b.Update(discovery.NewSet(
		discovery.Instance{ID: "1", Address: "10.0.0.1:80"},
		discovery.Instance{ID: "2", Address: "10.0.0.2:80"},
	))
	// A call that failed is tried again, elsewhere.
	first, _ := b.Pick()
	first.Done(balancer.Failed)
	second, _ := b.Pick(first.Endpoint())
	second.Done(balancer.OK)
	fmt.Println(first.Endpoint() == second.Endpoint())
	// Output: false
}

func ExampleBalancer_Stats() {
	b, err := balancer.New(balancer.WithZone("eu-1a"))
	if err != nil {
		log.Fatal(err)
	}
	b.Update(discovery.NewSet(
		discovery.Instance{ID: "1", Address: "10.0.0.1:80", Zone: "eu-1a"},
		discovery.Instance{ID: "2", Address: "10.0.0.2:80", Zone: "eu-1b"},
	))
	for range 100 {
		pick, _ := b.Pick()
		pick.Done(balancer.OK)
	}
	s := b.Stats()
	fmt.Println(s.Endpoints, s.Usable, s.Near)
	for kind, n := range s.Picks.All() {
		if n > 0 {
			fmt.Println(kind, n)
		}
	}
	// Output:
	// 2 2 1
	// local 100
}
