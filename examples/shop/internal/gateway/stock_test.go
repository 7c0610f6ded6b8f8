// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
)

// shelf is an inventory that knows one article.
type shelf struct {
	inventorypb.UnimplementedInventoryServiceServer
	ended chan error
}

func (s *shelf) SyncStock(stream grpc.BidiStreamingServer[inventorypb.StockChange, inventorypb.StockLevel]) (err error) {
	defer func() { s.ended <- err }()
	var level int64
	for {
		c, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.GetSku() != "mug" {
			return status.Error(codes.NotFound, "no such article")
		}
		level += int64(c.GetDelta())
		if err := stream.Send(&inventorypb.StockLevel{Sku: "mug", Available: level}); err != nil {
			return err
		}
	}
}

func dialShelf(t *testing.T) (inventorypb.InventoryServiceClient, *shelf) {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	srv, s := grpc.NewServer(), &shelf{ended: make(chan error, 1)}
	inventorypb.RegisterInventoryServiceServer(srv, s)
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(lis) })
	conn, err := grpc.NewClient("passthrough:///inventory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); srv.Stop(); serving.Wait() })
	return inventorypb.NewInventoryServiceClient(conn), s
}

func TestStockSessionIsFullDuplex(t *testing.T) {
	client, shelf := dialShelf(t)
	srv := serve(t, &orders{}, client)
	body, changes := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/stock", body)
	if err != nil {
		t.Fatal(err)
	}
	// The first change is sent from aside: Do returns with the first answer.
	var first sync.WaitGroup
	first.Go(func() { _, _ = io.WriteString(changes, `{"sku":"mug","delta":5}`+"\n") })
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first.Wait()

	levels := bufio.NewScanner(resp.Body)
	next := func() string {
		if !levels.Scan() {
			t.Fatalf("the answer ended: %v", levels.Err())
		}
		return levels.Text()
	}
	if got, want := next(), `{"sku":"mug","available":5}`; got != want {
		t.Errorf("level %s, want %s", got, want)
	}
	_, _ = io.WriteString(changes, `{"sku":"mug","delta":-2}`+"\n") // only after the first answer
	if got, want := next(), `{"sku":"mug","available":3}`; got != want {
		t.Errorf("level %s, want %s", got, want)
	}
	_ = changes.Close()
	if levels.Scan() {
		t.Errorf("more than asked for: %s", levels.Text())
	}
	if err := <-shelf.ended; err != nil {
		t.Errorf("stream ended with %v", err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("content type %q", got)
	}
}

func TestStockSessionFails(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		status     int
		answer     string
	}{
		{"unknown article", `{"sku":"cup","delta":1}`, 404, "no such article"},
		{"garbage", `[`, 400, "no stock change in JSON"},
		{"unknown article later", `{"sku":"mug","delta":1}{"sku":"cup"}`, 200, `{"available":0,"error":"no such article"}`},
		{"garbage later", `{"sku":"mug","delta":1}[`, 200, "no stock change in JSON"},
		{"nothing", ``, 200, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, shelf := dialShelf(t)
			resp := do(t, serve(t, &orders{}, client), "POST", "/stock", tc.body)
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.status || !strings.Contains(string(body), tc.answer) {
				t.Errorf("status %d, body %s; want %d with %q", resp.StatusCode, body, tc.status, tc.answer)
			}
			if !resp.Close {
				t.Error("the connection is kept, with a request in it that nobody has read")
			}
			<-shelf.ended // whatever happened, the stream is not left behind
		})
	}
}
