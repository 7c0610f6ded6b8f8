// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
)

func (s *shelf) GetStock(_ context.Context, r *inventorypb.GetStockRequest) (*inventorypb.GetStockResponse, error) {
	switch r.GetSku() {
	case "mug":
		return &inventorypb.GetStockResponse{Available: new(int64(7))}, nil
	case "lamp": // as one who stands in for the inventory would answer
		return &inventorypb.GetStockResponse{}, nil
	default:
		return nil, status.Error(codes.NotFound, "no such article")
	}
}

func TestArticle(t *testing.T) {
	client, _ := dialShelf(t)
	srv := serve(t, &orders{}, client)
	for _, tc := range []struct {
		sku    string
		status int
		answer string
	}{
		{"mug", 200, `{"sku":"mug","available":7}`},
		{"lamp", 200, `{"sku":"lamp","available":null}`},
		{"cup", 404, "no such article"},
	} {
		resp := do(t, srv, "GET", "/articles/"+tc.sku, "")
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tc.status || !strings.Contains(string(body), tc.answer) {
			t.Errorf("%s: status %d, body %s; want %d with %s", tc.sku, resp.StatusCode, body, tc.status, tc.answer)
		}
	}
}
