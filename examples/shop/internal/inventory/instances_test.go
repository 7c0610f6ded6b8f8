// SPDX-License-Identifier: Apache-2.0

package inventory_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fairlead-go/fairlead/examples/shop/internal/inventory"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// TestSeveralInstances lets three instances reserve and take deliveries in one file, as
// fast as they can.
func TestSeveralInstances(t *testing.T) {
	const instances, each, start = 3, 60, 1000
	path := filepath.Join(t.TempDir(), "inventory.db")
	var reserving sync.WaitGroup
	var first *inventory.Stock
	for i := range instances {
		db, err := store.Open(t.Context(), path, inventory.Schema)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		s := inventory.NewStock(db)
		if err := s.Seed(t.Context(), inventory.Article{SKU: "mug", UnitPriceCents: 900, Available: start}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = s
		}
		reserving.Go(func() {
			for n := range each {
				if _, err := s.Reserve(t.Context(), fmt.Sprintf("order-%d-%d", i, n), "mug", 2); err != nil {
					t.Errorf("instance %d: %v", i, err)
				}
				if _, err := s.Change(t.Context(), "mug", 1); err != nil {
					t.Errorf("instance %d: %v", i, err)
				}
			}
		})
	}
	reserving.Wait()
	a, err := first.Get(t.Context(), "mug")
	if want := int64(start - instances*each); err != nil || a.Available != want {
		t.Errorf("%d are left (%v), want %d", a.Available, err, want)
	}
}
