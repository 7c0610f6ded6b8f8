// SPDX-License-Identifier: Apache-2.0

// Package payment charges cards: an HTTP/JSON service, and the client that the
// order service uses for it.
//
//	mux.Handle("POST /charges", payment.NewHandler(ledger, receipts, chaos.Fault{}, logger))
//
//	client := payment.NewClient(httpClient, "http://payment")
//	receipt, err := client.Charge(ctx, payment.Charge{OrderID: id, AmountCents: 1800, Card: token})
//
// Charging is idempotent by order: the same order is never charged twice.
package payment
