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
