// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/examples/shop/internal/catalog"
	"github.com/fairlead-go/fairlead/examples/shop/internal/chaos"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gateway"
	"github.com/fairlead-go/fairlead/examples/shop/internal/payment"
)

// patience is how long the impatient customer waits.
const patience = 40 * time.Millisecond

// visit is one request to be made: its number, and a source of chance of its own.
type visit struct {
	n    int
	rand *rand.Rand
}

// scenario is one kind of customer.
type scenario struct {
	name   string
	weight int
	// want is how a visit is meant to end.
	want Outcome
	run  func(context.Context, *customer, visit) Result
}

// scenarios is the mix. The weights add up to 100.
var scenarios = []scenario{
	{"order", 42, OK, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, name(v), article(v), payment.CardOK)
	}},
	{"order and look", 9, OK, orderAndLook},
	{"look at an article", 8, OK, func(ctx context.Context, c *customer, v visit) Result {
		r, _ := c.send(ctx, v.n, "GET", "/articles/"+article(v), "")
		return r
	}},
	{"stock session", 5, OK, stockSession},
	{"receipt that panics", 2, OK, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, chaos.TripWire, article(v), payment.CardOK)
	}},
	{"unknown article", 5, ClientFault, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, name(v), fmt.Sprintf("no-such-%d", v.n), payment.CardOK)
	}},
	{"nonsense", 3, ClientFault, func(ctx context.Context, c *customer, v visit) Result {
		r, _ := c.send(ctx, v.n, "POST", "/orders", `{"sku":`)
		return r
	}},
	{"sold out", 4, OutOfStock, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, name(v), catalog.SoldOut, payment.CardOK)
	}},
	{"declined card", 5, Declined, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, name(v), article(v), payment.CardDeclined)
	}},
	{"slow bank", 2, Deadline, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, name(v), article(v), payment.CardSlow)
	}},
	{"impatient", 4, Canceled, func(ctx context.Context, c *customer, v visit) Result {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return c.place(ctx, v, name(v), article(v), payment.CardSlow)
	}},
	{"panic in HTTP", 2, ServerFault, func(ctx context.Context, c *customer, v visit) Result {
		r, _ := c.send(ctx, v.n, "GET", "/orders/"+chaos.TripWire, "")
		return r
	}},
	{"panic in gRPC", 2, ServerFault, func(ctx context.Context, c *customer, v visit) Result {
		return c.place(ctx, v, name(v), chaos.TripWire, payment.CardOK)
	}},
	{"unknown path", 4, UnknownPath, func(ctx context.Context, c *customer, v visit) Result {
		r, _ := c.send(ctx, v.n, "GET", fmt.Sprintf("/wp-admin/%d.php?x=%d", v.rand.Uint32(), v.n), "")
		return r
	}},
	{"unknown method", 3, UnknownMethod, func(ctx context.Context, c *customer, v visit) Result {
		return c.call(ctx, fmt.Sprintf("/shop.order.v1.OrderService/Probe%d", v.rand.Uint32()))
	}},
}

// pick returns a scenario with the chance its weight gives it.
func pick(r *rand.Rand) *scenario {
	total := 0
	for i := range scenarios {
		total += scenarios[i].weight
	}
	at := r.IntN(total)
	for i := range scenarios {
		if at -= scenarios[i].weight; at < 0 {
			return &scenarios[i]
		}
	}
	return &scenarios[0] // not reached
}

func name(v visit) string { return fmt.Sprintf("customer-%d", v.rand.IntN(100)) }

func article(v visit) string {
	common := catalog.Common()
	return common[v.rand.IntN(len(common))].SKU
}

// place places an order for one to three of an article.
func (c *customer) place(ctx context.Context, v visit, name, sku, card string) Result {
	r, _ := c.send(ctx, v.n, "POST", "/orders", orderBody(v, name, sku, card))
	return r
}

func orderBody(v visit, name, sku, card string) string {
	return fmt.Sprintf(`{"customer":%q,"sku":%q,"quantity":%d,"card":%q}`, name, sku, 1+v.rand.IntN(3), card)
}

// orderAndLook places an order and looks it up.
func orderAndLook(ctx context.Context, c *customer, v visit) Result {
	r, answer := c.send(ctx, v.n, "POST", "/orders", orderBody(v, name(v), article(v), payment.CardOK))
	var placed gateway.Order
	if r.Outcome != OK || json.Unmarshal([]byte(answer), &placed) != nil {
		return r
	}
	r, _ = c.send(ctx, v.n, "GET", "/orders/"+placed.ID, "")
	return r
}

// stockSession is the warehouse reporting a few deliveries.
func stockSession(ctx context.Context, c *customer, v visit) Result {
	var changes strings.Builder
	lines := 2 + v.rand.IntN(8)
	for range lines {
		fmt.Fprintf(&changes, `{"sku":%q,"delta":%d}`+"\n", article(v), 1+v.rand.IntN(50))
	}
	r, answer := c.send(ctx, v.n, "POST", "/stock", changes.String())
	if r.Outcome == OK && (strings.Count(answer, "\n") != lines || strings.Contains(answer, `"error"`)) {
		r.Outcome = ServerFault
	}
	return r
}
