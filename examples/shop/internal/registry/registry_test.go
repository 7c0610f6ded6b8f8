// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/registry"
)

func TestLookup(t *testing.T) {
	r := registry.New()
	want := registry.Addresses{GRPC: "127.0.0.1:1", HTTP: "127.0.0.1:2"}
	r.Set("order", registry.Addresses{GRPC: "127.0.0.1:9"})
	r.Set("order", want)
	if got, err := r.Lookup(t.Context(), "order"); err != nil || got != want {
		t.Errorf("Lookup = %v, %v; want %v", got, err, want)
	}
	if _, err := r.Lookup(t.Context(), "ordre"); err == nil {
		t.Error("Lookup of an unknown service succeeded")
	}
}

func TestStringAndParse(t *testing.T) {
	r := registry.New()
	r.Set("payment", registry.Addresses{HTTP: "127.0.0.1:2"})
	r.Set("order", registry.Addresses{GRPC: "127.0.0.1:3"})
	again, err := registry.Parse(r.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Services(), again.Services()); diff != "" {
		t.Errorf("after String and Parse (-want +got):\n%s", diff)
	}
	if empty, err := registry.Parse(""); err != nil || len(empty.Services()) != 0 {
		t.Errorf("Parse of nothing = %v, %v", empty, err)
	}
	if _, err := registry.Parse("{"); err == nil {
		t.Error("Parse of garbage succeeded")
	}
}
