// SPDX-License-Identifier: Apache-2.0

// Package grpchealth answers gRPC's health service, version 1, from the checks of package
// health, and asks that of others.
//
//	server, err := grpchealth.NewServer(checks, grpchealth.WithService("shop.Orders", "db"))
//	grpc_health_v1.RegisterHealthServer(grpcServer, server)
//	server.AddRegistered(grpcServer) // the others, as healthy as the process
//
//	err = checks.Add("payment", grpchealth.Check(conn, "shop.Payments"), health.Optional)
//
// It is the protocol of health.proto and of gRPC's doc/health-checking.md: Check is
// NOT_FOUND for a service that is not known, Watch tells SERVICE_UNKNOWN and goes on.
// Clients with a healthCheckConfig in their service config watch, and leave out of their
// picks what does not serve, although its connection works.
//
// # Order
//
// At the end of a process: [health.Set.Stop], which those who watch are told as
// NOT_SERVING; callers go elsewhere meanwhile; [Server.Close], which ends watches;
// [grpc.Server.GracefulStop], which would otherwise wait for them for ever.
//
// # What it is not
//
// It has no statuses to be set by hand, as gRPC's own health.Server has: there is one
// source. It keeps nothing of what peers ask: a watch costs its stream, of which a server
// bounds the number for each connection ([grpc.MaxConcurrentStreams]), and a client that
// is slow gets the latest status only.
//
// # Concurrency
//
// Servers are safe for concurrent use, and start no goroutine.
package grpchealth
