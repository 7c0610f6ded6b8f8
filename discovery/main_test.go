// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prod discovery.Namespace = "prod"

var orders = discovery.Query{Namespace: prod, Service: "order"}

// order returns the n-th instance of the service order.
func order(n int) discovery.Instance {
	return discovery.Instance{
		Namespace: prod, Service: "order", ID: fmt.Sprintf("order-%05d", n), Address: fmt.Sprintf("10.%d.%d.%d:8443", n>>16&255, n>>8&255, n&255),
		Zone: "eu-west-1a", Weight: 1, Version: "1.2.3", Health: discovery.HealthPassing,
		Metadata: map[string]string{"build": "2026-11-21", "team": "checkout"},
	}
}

func ordersTo(n int) []discovery.Instance {
	out := make([]discovery.Instance, n)
	for i := range out {
		out[i] = order(i)
	}
	return out
}

// ids returns the ids of a set.
func ids(s *discovery.Set) []string {
	var out []string
	for in := range s.All() {
		out = append(out, in.ID)
	}
	return out
}

func wantIDs(t testing.TB, s *discovery.Set, want ...string) {
	t.Helper()
	if got := ids(s); !slices.Equal(got, want) {
		t.Errorf("instances %v, want %v", got, want)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
