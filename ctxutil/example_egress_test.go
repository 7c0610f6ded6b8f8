// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"fmt"
	"log"

	"github.com/fairlead-go/fairlead/ctxutil"
)

// Our own services and one partner see trace ids and baggage. Nobody else does.
func ExampleNewEgress() {
	egress, err := ctxutil.NewEgress(ctxutil.Internal, "*.partner.example")
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range []string{
		"inventory:8080",
		"consul:///inventory?ns=prod",
		"10.0.0.7:443",
		"api.partner.example",
		"api.example.com",
		"inventory@api.example.com",
	} {
		fmt.Println(egress.Allows(host), host)
	}
	// Output:
	// true inventory:8080
	// true consul:///inventory?ns=prod
	// true 10.0.0.7:443
	// true api.partner.example
	// false api.example.com
	// false inventory@api.example.com
}
