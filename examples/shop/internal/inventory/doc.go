// SPDX-License-Identifier: Apache-2.0

// Package inventory owns the stock: it reserves goods for orders, takes them
// back, and follows the warehouse over a stream.
//
//	stock := inventory.NewStock(db)
//	inventorypb.RegisterInventoryServiceServer(server, inventory.NewServer(stock, chaos.Fault{}, logger))
//
// [Stock] is the domain and knows no transport; [Server] is its gRPC face.
package inventory
