// SPDX-License-Identifier: Apache-2.0

package inventory_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/inventory"
	"github.com/fairlead-go/fairlead/examples/shop/internal/reason"
	"github.com/fairlead-go/fairlead/examples/shop/internal/store"
)

func newStock(t *testing.T, opts ...store.Option) *inventory.Stock {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "inventory.db"), inventory.Schema, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return inventory.NewStock(db)
}

func seeded(t *testing.T) *inventory.Stock {
	t.Helper()
	s := newStock(t)
	err := s.Seed(t.Context(),
		inventory.Article{SKU: "mug", UnitPriceCents: 900, Available: 10},
		inventory.Article{SKU: "gone", UnitPriceCents: 100})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dial serves stock over an in-memory connection.
func dial(t *testing.T, stock *inventory.Stock) inventorypb.InventoryServiceClient {
	t.Helper()
	return dialFaulty(t, stock, chaos.Fault{})
}

func dialFaulty(t *testing.T, stock *inventory.Stock, fault chaos.Fault) inventorypb.InventoryServiceClient {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	srv := grpc.NewServer()
	inventorypb.RegisterInventoryServiceServer(srv, inventory.NewServer(stock, fault, slog.New(slog.DiscardHandler)))
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(lis) })
	conn, err := grpc.NewClient("passthrough:///inventory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); srv.Stop(); serving.Wait() })
	return inventorypb.NewInventoryServiceClient(conn)
}

func TestReserve(t *testing.T) {
	client := dial(t, seeded(t))
	for _, tc := range []struct {
		name       string
		req        *inventorypb.ReserveRequest
		wantCode   codes.Code
		wantReason string
		remaining  int64
	}{
		{name: "some", req: &inventorypb.ReserveRequest{OrderId: "o1", Sku: "mug", Quantity: 3}, remaining: 7},
		{name: "the same again", req: &inventorypb.ReserveRequest{OrderId: "o1", Sku: "mug", Quantity: 3}, remaining: 7},
		{
			name: "more than there is", req: &inventorypb.ReserveRequest{OrderId: "o2", Sku: "mug", Quantity: 8},
			wantCode: codes.FailedPrecondition, wantReason: reason.OutOfStock,
		},
		{
			name: "unknown", req: &inventorypb.ReserveRequest{OrderId: "o3", Sku: "cup", Quantity: 1},
			wantCode: codes.NotFound, wantReason: reason.UnknownSKU,
		},
		{name: "nothing", req: &inventorypb.ReserveRequest{OrderId: "o4", Sku: "mug"}, wantCode: codes.InvalidArgument},
		{name: "the rest", req: &inventorypb.ReserveRequest{OrderId: "o5", Sku: "mug", Quantity: 7}, remaining: 0},
	} {
		resp, err := client.Reserve(t.Context(), tc.req)
		if got := status.Code(err); got != tc.wantCode {
			t.Fatalf("%s: code = %v, want %v (%v)", tc.name, got, tc.wantCode, err)
		}
		if got := reason.Of(err); got != tc.wantReason {
			t.Errorf("%s: reason = %q, want %q", tc.name, got, tc.wantReason)
		}
		if err == nil && (resp.GetRemaining() != tc.remaining || resp.GetUnitPriceCents() != 900) {
			t.Errorf("%s: response %v, want remaining %d", tc.name, resp, tc.remaining)
		}
	}
}

func TestRelease(t *testing.T) {
	stock := seeded(t)
	client := dial(t, stock)
	if _, err := stock.Reserve(t.Context(), "o1", "mug", 4); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{4, 0} {
		resp, err := client.Release(t.Context(), &inventorypb.ReleaseRequest{OrderId: "o1"})
		if err != nil || resp.GetReleased() != want {
			t.Errorf("release %d = %v, %v; want %d", i+1, resp, err, want)
		}
	}
	if a, err := stock.Change(t.Context(), "mug", 0); err != nil || a.Available != 10 {
		t.Errorf("available = %d, %v; want 10", a.Available, err)
	}
}

func TestGetStock(t *testing.T) {
	client := dial(t, seeded(t))
	for sku, want := range map[string]int64{"mug": 10, "gone": 0} {
		resp, err := client.GetStock(t.Context(), &inventorypb.GetStockRequest{Sku: sku})
		if err != nil || resp.Available == nil || resp.GetAvailable() != want {
			t.Errorf("%s: %v, %v; want %d", sku, resp, err, want)
		}
	}
	_, err := client.GetStock(t.Context(), &inventorypb.GetStockRequest{Sku: "cup"})
	if status.Code(err) != codes.NotFound || reason.Of(err) != reason.UnknownSKU {
		t.Errorf("unknown article: %v", err)
	}
}

func TestReserveNeverOversells(t *testing.T) {
	stock := seeded(t)
	var wg sync.WaitGroup
	var sold atomic.Int32
	for i := range 20 {
		wg.Go(func() {
			_, err := stock.Reserve(t.Context(), string(rune('a'+i)), "mug", 1)
			switch {
			case err == nil:
				sold.Add(1)
			case !errors.Is(err, inventory.ErrOutOfStock):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if sold.Load() != 10 {
		t.Errorf("sold %d of 10", sold.Load())
	}
}

func TestSyncStock(t *testing.T) {
	client := dial(t, seeded(t))
	stream, err := client.SyncStock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		delta int32
		want  int64
	}{{+5, 15}, {-15, 0}, {+1, 1}} {
		if err := stream.Send(&inventorypb.StockChange{Sku: "mug", Delta: step.delta}); err != nil {
			t.Fatal(err)
		}
		level, err := stream.Recv()
		if err != nil || level.GetAvailable() != step.want {
			t.Fatalf("level = %v, %v; want %d", level, err, step.want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end of stream = %v, want EOF", err)
	}
}

func TestSyncStockRefuses(t *testing.T) {
	client := dial(t, seeded(t))
	for sku, want := range map[string]codes.Code{"gone": codes.FailedPrecondition, "cup": codes.NotFound} {
		stream, err := client.SyncStock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&inventorypb.StockChange{Sku: sku, Delta: -1})
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("%s: %v, want code %v", sku, err, want)
		}
	}
}

func TestDatabaseDown(t *testing.T) {
	client := dial(t, newStock(t, store.WithFault(chaos.Fault{FailRate: 1})))
	_, err := client.Reserve(t.Context(), &inventorypb.ReserveRequest{OrderId: "o", Sku: "mug", Quantity: 1})
	if got := status.Convert(err); got.Code() != codes.Unavailable || got.Message() != "stock is unavailable" {
		t.Errorf("Reserve = %v, want Unavailable without the cause", err)
	}
}

func TestFault(t *testing.T) {
	client := dialFaulty(t, seeded(t), chaos.Fault{FailRate: 1})
	_, err := client.Reserve(t.Context(), &inventorypb.ReserveRequest{OrderId: "o", Sku: "mug", Quantity: 1})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("Reserve = %v, want Unavailable", err)
	}
	if _, err := client.Release(t.Context(), &inventorypb.ReleaseRequest{OrderId: "o"}); status.Code(err) != codes.Unavailable {
		t.Errorf("Release = %v, want Unavailable", err)
	}
	if _, err := client.GetStock(t.Context(), &inventorypb.GetStockRequest{Sku: "mug"}); status.Code(err) != codes.Unavailable {
		t.Errorf("GetStock = %v, want Unavailable", err)
	}
}
