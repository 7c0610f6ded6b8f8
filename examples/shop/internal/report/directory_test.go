// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/examples/shop/internal/report"
)

// register registers an instance of the order service until the function that it
// returns is called.
func register(t *testing.T, registry *memory.Registry, address string) (deregister func()) {
	t.Helper()
	r, err := discovery.NewRegistrar(registry, "shop", discovery.Instance{Service: "order", Address: address})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := r.Deregister(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	}
}

func TestDirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := memory.New()
		first := register(t, registry, "127.0.0.1:1")
		d, err := report.NewDirectory(t.Context(), registry, "shop", []string{"order", "payment"}, discovery.WithBackoff(time.Second, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		second := register(t, registry, "127.0.0.1:2")
		if err := d.Await(t.Context(), "order", "127.0.0.1:2"); err != nil {
			t.Fatal(err)
		}
		first()
		registry.Faults().Down(true)
		synctest.Wait()
		registry.Faults().Down(false)
		<-time.After(10 * time.Second)

		want := []report.Move{
			{Service: "order", Address: "127.0.0.1:1", Came: true, Left: 1},
			{Service: "order", Address: "127.0.0.1:2", Came: true, Left: 2},
			{Service: "order", Address: "127.0.0.1:1", Left: 1},
			{Why: "memory: the registry is away"},
			{Came: true},
		}
		if diff := cmp.Diff(want, d.Moves(), cmpopts.IgnoreFields(report.Move{}, "At")); diff != "" {
			t.Errorf("moves (-want +got):\n%s", diff)
		}
		listings := []report.Listing{
			{Service: "order", Came: 2, Went: 1, Addresses: []string{"127.0.0.1:2"}},
			{Service: "payment"},
		}
		if diff := cmp.Diff(listings, d.Listings()); diff != "" {
			t.Errorf("listings (-want +got):\n%s", diff)
		}
		second()
	})
}

func TestDirectoryAwaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := report.NewDirectory(t.Context(), memory.New(), "shop", []string{"order"})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Await(ctx, "order", "127.0.0.1:1"); err == nil {
			t.Error("somebody is called who is not there")
		}
	})
}

func TestDirectoryRefuses(t *testing.T) {
	for _, tc := range []struct {
		namespace discovery.Namespace
		services  []string
	}{{"", []string{"order"}}, {"shop", []string{"or/der"}}} {
		if _, err := report.NewDirectory(t.Context(), memory.New(), tc.namespace, tc.services); err == nil {
			t.Errorf("%+v was accepted", tc)
		}
	}
}
