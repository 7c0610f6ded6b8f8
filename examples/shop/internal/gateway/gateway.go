// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/orderpb"
	"github.com/fairlead-go/fairlead/examples/shop/internal/problem"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// OrderTimeout is how long a customer waits for an order, whatever happens
// behind the gateway.
const OrderTimeout = time.Second

// ArticleTimeout is how long the page of an article waits for the number of what
// is left.
const ArticleTimeout = 300 * time.Millisecond

// maxBody bounds the body of an order in bytes.
const maxBody = 16 << 10

// Gateway holds the handlers. Make it with [New]. It is safe for concurrent use.
type Gateway struct {
	orders    orderpb.OrderServiceClient
	inventory inventorypb.InventoryServiceClient
	log       *slog.Logger
}

// New returns a gateway in front of the two services.
func New(orders orderpb.OrderServiceClient, inventory inventorypb.InventoryServiceClient, log *slog.Logger) *Gateway {
	return &Gateway{orders: orders, inventory: inventory, log: log}
}

// Routes registers the handlers.
func (g *Gateway) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /orders", g.placeOrder)
	mux.HandleFunc("GET /orders/{id}", g.getOrder)
	mux.HandleFunc("GET /articles/{sku}", g.getArticle)
	mux.HandleFunc("POST /stock", g.syncStock)
}

// Priority says who is refused first when the gateway has too much to do: those who
// only look, and last of all those who bring money. It is for shed.WithPriorities.
func Priority(ctx context.Context, path string) shed.Priority {
	switch {
	case path == "/orders":
		return shed.PriorityCritical
	case strings.HasPrefix(path, "/articles/"):
		return shed.PrioritySheddable
	default:
		return shed.ByMethod(ctx, path)
	}
}

// Order is an order on the wire. In a request only the first four count.
type Order struct {
	Customer   string `json:"customer"`
	SKU        string `json:"sku"`
	Quantity   int32  `json:"quantity"`
	Card       string `json:"card,omitempty"`
	ID         string `json:"id,omitempty"`
	TotalCents int64  `json:"total_cents,omitempty"`
	Status     string `json:"status,omitempty"`
}

func (g *Gateway) placeOrder(w http.ResponseWriter, r *http.Request) {
	var o Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&o); err != nil {
		problem.Write(w, r, http.StatusBadRequest, "", "the body is no order in JSON")
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), OrderTimeout, ctxutil.ErrTimeout)
	defer cancel()
	ctxutil.Add(ctx, slog.String("customer", o.Customer), slog.String("sku", o.SKU))

	placed, err := g.orders.PlaceOrder(ctx, &orderpb.PlaceOrderRequest{
		Customer: o.Customer, Sku: o.SKU, Quantity: o.Quantity, Card: o.Card,
	})
	if err != nil {
		g.fail(w, r, err)
		return
	}
	ctxutil.Add(ctx, slog.String("order_id", placed.GetId()))
	w.Header().Set("Location", "/orders/"+placed.GetId())
	writeJSON(w, http.StatusCreated, orderOf(placed))
}

func (g *Gateway) getOrder(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	chaos.Trip(id)
	ctxutil.Add(r.Context(), slog.String("order_id", id))

	o, err := g.orders.GetOrder(r.Context(), &orderpb.GetOrderRequest{Id: id})
	if err != nil {
		g.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, orderOf(o))
}

func orderOf(o *orderpb.Order) Order {
	return Order{
		ID: o.GetId(), Customer: o.GetCustomer(), SKU: o.GetSku(), Quantity: o.GetQuantity(),
		TotalCents: o.GetTotalCents(), Status: statusNames[o.GetStatus()],
	}
}

// statusNames are the states of an order as the world knows them.
var statusNames = map[orderpb.Status]string{
	orderpb.Status_STATUS_PENDING:   "pending",
	orderpb.Status_STATUS_CONFIRMED: "confirmed",
	orderpb.Status_STATUS_REJECTED:  "rejected",
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a peer that has gone away is seen by the server
}
