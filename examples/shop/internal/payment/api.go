// SPDX-License-Identifier: Apache-2.0

package payment

import (
	"errors"
	"time"
)

// ErrDeclined says that the card's bank refuses.
var ErrDeclined = errors.New("payment: declined")

// HeaderIdempotencyKey names a charge: a request with the same key is the same
// charge.
const HeaderIdempotencyKey = "Idempotency-Key"

// Test cards, as every payment provider has them.
const (
	// CardOK is charged.
	CardOK = "tok_ok"
	// CardDeclined is refused by its bank.
	CardDeclined = "tok_declined"
	// CardSlow is charged after SlowBank.
	CardSlow = "tok_slow"
)

// SlowBank is how long the bank of CardSlow takes.
const SlowBank = 5 * time.Second

// Charge is a request for money.
type Charge struct {
	OrderID     string `json:"order_id"`
	Customer    string `json:"customer"`
	AmountCents int64  `json:"amount_cents"`
	Card        string `json:"card"`
}

// Receipt is the proof of a charge.
type Receipt struct {
	ID          string `json:"id"`
	OrderID     string `json:"order_id"`
	Customer    string `json:"customer"`
	AmountCents int64  `json:"amount_cents"`
}

// valid reports the first thing that is wrong with c.
func (c Charge) valid() error {
	switch {
	case c.OrderID == "":
		return errors.New("order_id must be set")
	case c.AmountCents <= 0:
		return errors.New("amount_cents must be positive")
	case c.Card == "":
		return errors.New("card must be set")
	default:
		return nil
	}
}
