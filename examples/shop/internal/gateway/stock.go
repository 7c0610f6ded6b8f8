// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
)

// StockChange is one line of a request to /stock.
type StockChange struct {
	SKU   string `json:"sku"`
	Delta int32  `json:"delta"`
}

// StockLevel is one line of the answer. The last line has an Error, and nothing
// else, if the session broke off after the answer had begun.
type StockLevel struct {
	SKU       string `json:"sku,omitempty"`
	Available int64  `json:"available"`
	Error     string `json:"error,omitempty"`
}

type stockStream = grpc.BidiStreamingClient[inventorypb.StockChange, inventorypb.StockLevel]

// errNoChange says that a line of the request cannot be read.
var errNoChange = status.Error(codes.InvalidArgument, "a line of the body is no stock change in JSON")

// syncStock is a session of the warehouse: a change in, a level out, as often as
// the warehouse likes. Both directions are open at once, over HTTP as over gRPC.
func (g *Gateway) syncStock(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	// HTTP/1 would otherwise read the whole request before the first answer.
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		g.fail(w, r, err)
		return
	}
	// A session may end before its request does. What is left of that is not read, and
	// the connection is of no use then: it must not be taken for another request.
	w.Header().Set("Connection", "close")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel() // ends the stream on every way out
	stream, err := g.inventory.SyncStock(ctx)
	if err != nil {
		g.fail(w, r, err)
		return
	}

	in, out := json.NewDecoder(r.Body), json.NewEncoder(w)
	for levels := 0; ; levels++ {
		level, err := exchange(in, stream)
		switch {
		case errors.Is(err, io.EOF):
			ctxutil.Add(r.Context(), slog.Int("stock_levels", levels))
			return
		case err != nil && levels == 0:
			g.fail(w, r, err)
			return
		case err != nil:
			_, detail := httpStatus(err)
			_ = out.Encode(StockLevel{Error: detail})
			return
		}
		if levels == 0 {
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		if out.Encode(level) != nil || rc.Flush() != nil {
			return // the warehouse has gone
		}
	}
}

// exchange carries one change to the inventory and its level back. It returns
// io.EOF when the warehouse has no more and the inventory has ended the stream.
func exchange(in *json.Decoder, stream stockStream) (StockLevel, error) {
	var c StockChange
	switch err := in.Decode(&c); {
	case errors.Is(err, io.EOF):
		if err := stream.CloseSend(); err != nil {
			return StockLevel{}, err
		}
	case err != nil:
		return StockLevel{}, errNoChange
	default:
		err := stream.Send(&inventorypb.StockChange{Sku: c.SKU, Delta: c.Delta})
		if err != nil && !errors.Is(err, io.EOF) { // after EOF, Recv has the reason
			return StockLevel{}, err
		}
	}
	level, err := stream.Recv()
	return StockLevel{SKU: level.GetSku(), Available: level.GetAvailable()}, err
}
