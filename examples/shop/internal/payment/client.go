// SPDX-License-Identifier: Apache-2.0

package payment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/fairlead-go/fairlead/httpmw"
)

// Client calls the payment service. It is safe for concurrent use.
type Client struct {
	http *http.Client
	base string
}

// NewClient returns a client of the service at base, a URL without a path.
func NewClient(c *http.Client, base string) *Client {
	return &Client{http: c, base: base}
}

// Charge takes the money for an order. It fails with [ErrDeclined] if the bank
// refuses, and with a [*httpmw.StatusError] if the service says no for another
// reason. Any other error is of a request that was not answered.
func (c *Client) Charge(ctx context.Context, charge Charge) (Receipt, error) {
	body, err := json.Marshal(charge)
	if err != nil {
		return Receipt{}, fmt.Errorf("payment: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/charges", bytes.NewReader(body))
	if err != nil {
		return Receipt{}, fmt.Errorf("payment: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	// An order is charged once, so its id names the charge. With a key the request
	// may be sent again, by whatever retries it on the way.
	req.Header.Set(HeaderIdempotencyKey, charge.OrderID)
	resp, err := c.http.Do(req)
	if err != nil {
		return Receipt{}, fmt.Errorf("payment: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()

	if resp.StatusCode == http.StatusPaymentRequired {
		return Receipt{}, ErrDeclined
	}
	if err := httpmw.CheckResponse(resp); err != nil {
		return Receipt{}, fmt.Errorf("payment: %w", err)
	}
	var r Receipt
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return Receipt{}, fmt.Errorf("payment: receipt: %w", err)
	}
	return r, nil
}
