// SPDX-License-Identifier: Apache-2.0

// Package order takes orders: it reserves the goods at the inventory, has them
// paid, keeps the order, and adds loyalty points once the customer has the
// answer.
//
//	book := order.NewBook(db)
//	server, err := order.NewServer(book, inventoryClient, paymentClient, logger, registerer)
//	orderpb.RegisterOrderServiceServer(grpcServer, server)
//
// If anything fails after the reservation, the goods are given back before the
// customer is told, whether or not the customer is still waiting.
package order
