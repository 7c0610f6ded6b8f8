// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/examples/shop/internal/app"
	"github.com/fairlead-go/fairlead/examples/shop/internal/audit"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/inventory"
	"github.com/fairlead-go/fairlead/examples/shop/internal/order"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

// books writes the books of a shop in which three orders were placed, one of which was
// rejected, and one is pending.
func books(t *testing.T) (dir string) {
	t.Helper()
	dir, ctx := t.TempDir(), t.Context()
	stock := inventory.NewStock(open(t, dir, app.Inventory, inventory.Schema))
	ledger := payment.NewLedger(open(t, dir, app.Payment, payment.Schema))
	book := order.NewBook(open(t, dir, app.Order, order.Schema))
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(stock.Seed(ctx, inventory.Article{SKU: "mug", UnitPriceCents: 100, Available: 10}))
	check(stock.Seed(ctx, inventory.Article{SKU: "mug", UnitPriceCents: 100, Available: 10})) // as each instance does
	_, err := stock.Change(ctx, "mug", 5)
	check(err)
	for id, status := range map[string]orderpb.Status{
		"a": orderpb.Status_STATUS_CONFIRMED, "b": orderpb.Status_STATUS_CONFIRMED,
		"c": orderpb.Status_STATUS_REJECTED, "d": orderpb.Status_STATUS_PENDING,
	} {
		_, err := stock.Reserve(ctx, id, "mug", 2)
		check(err)
		check(book.Insert(ctx, &orderpb.Order{Id: id, Customer: "ada", Sku: "mug", Quantity: 2, TotalCents: 200, Status: status}))
		if status == orderpb.Status_STATUS_REJECTED {
			_, err := stock.Release(ctx, id)
			check(err)
			continue
		}
		_, _, err = ledger.Enter(ctx, id, payment.Charge{OrderID: id, Customer: "ada", AmountCents: 200, Card: payment.CardOK})
		check(err)
	}
	return dir
}

func open(t *testing.T, dir, service, schema string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(dir, service+".db"), schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestBooksThatAgree(t *testing.T) {
	got, err := audit.Read(t.Context(), books(t))
	if err != nil {
		t.Fatal(err)
	}
	want := audit.Books{Confirmed: 2, Rejected: 1, Pending: 1, Cents: 400, Reserved: 6, Unclaimed: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("books (-want +got):\n%s", diff)
	}
}

func TestBooksThatDoNotAgree(t *testing.T) {
	for name, tc := range map[string]struct {
		service, schema, statement string
		want                       string
	}{
		"not charged":    {app.Payment, payment.Schema, `DELETE FROM charges WHERE order_id = 'a'`, "a is confirmed for 200 cents, and 0 were charged"},
		"wrong amount":   {app.Payment, payment.Schema, `UPDATE charges SET amount_cents = 300 WHERE order_id = 'b'`, "b is confirmed for 200 cents, and 300 were charged"},
		"wrong quantity": {app.Order, order.Schema, `UPDATE orders SET quantity = 3 WHERE id = 'a'`, "a is confirmed for 3 articles, and 2 are held"},
		"lost update":    {app.Inventory, inventory.Schema, `UPDATE stock SET available = available + 1`, "mug: -1 more were delivered"},
		"lost delivery":  {app.Inventory, inventory.Schema, `UPDATE deliveries SET quantity = quantity + 4`, "mug: 4 more were delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := books(t)
			err := open(t, dir, tc.service, tc.schema).Update(t.Context(), "falsify", func(tx *sql.Tx) error {
				_, err := tx.ExecContext(t.Context(), tc.statement)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := audit.Read(t.Context(), dir)
			if err != nil || len(got.Wrong) != 1 || !strings.HasPrefix(got.Wrong[0], tc.want) {
				t.Errorf("Read = %+v, %v; want it to find that %s", got, err, tc.want)
			}
		})
	}
}

func TestReadFails(t *testing.T) {
	if _, err := audit.Read(t.Context(), filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("books were read that are not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Read(ctx, books(t)); err == nil {
		t.Error("books were read by somebody who has left")
	}
}
