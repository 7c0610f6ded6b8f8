// SPDX-License-Identifier: Apache-2.0

// Package payment charges cards: an HTTP/JSON service, and the client that the
// order service uses for it.
//
//	mux.Handle("POST /charges", payment.NewHandler(ledger, receipts, chaos.Fault{}, logger))
//
//	client := payment.NewClient(httpClient, "http://payment")
//	receipt, err := client.Charge(ctx, payment.Charge{OrderID: id, AmountCents: 1800, Card: token})
//
// Charging is idempotent: a charge is made once for each Idempotency-Key
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header),
// however often it is asked for, and an order is never charged under two keys. So
// a client may ask again when it does not know what became of a charge.
package payment
