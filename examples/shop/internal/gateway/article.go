// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/examples/shop/internal/gen/inventorypb"
)

// Article is an article on the wire.
type Article struct {
	SKU string `json:"sku"`
	// Available is how many there are; null if that is not known now.
	Available *int64 `json:"available"`
}

func (g *Gateway) getArticle(w http.ResponseWriter, r *http.Request) {
	sku := r.PathValue("sku")
	ctx, cancel := context.WithTimeoutCause(r.Context(), ArticleTimeout, ctxutil.ErrTimeout)
	defer cancel()
	ctxutil.Add(ctx, slog.String("sku", sku))

	stock, err := g.inventory.GetStock(ctx, &inventorypb.GetStockRequest{Sku: sku})
	if err != nil {
		g.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, Article{SKU: sku, Available: stock.Available})
}
