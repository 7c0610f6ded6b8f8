// SPDX-License-Identifier: Apache-2.0

// Package gateway is the shop's door to the world: JSON over HTTP in front, gRPC
// behind.
//
//	POST /orders          places an order
//	GET  /orders/{id}     shows it
//	GET  /articles/{sku}  says how many there are, or that this is not known now
//	POST /stock           takes stock changes, one JSON object a line, and answers
//	                      each with the new level as soon as it is known
//
// Errors are problem details (RFC 9457).
//
//	gw := gateway.New(orderClient, inventoryClient, logger)
//	gw.Routes(mux)
package gateway
