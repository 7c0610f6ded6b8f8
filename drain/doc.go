// SPDX-License-Identifier: Apache-2.0

// Package drain brings the requests of a server to their end before the server
// is stopped, and says how that went.
//
//	d := drain.New()
//	server := grpc.NewServer(interceptors.ServerOptions(rec, interceptors.Drain(d))...)
//	…
//	d.Leave() // still serving: callers are told to look elsewhere
//	stopped := make(chan struct{})
//	go func() { server.GracefulStop(); close(stopped) }()
//	result := d.Drain(ctx, stopped, 2*time.Second)
//	server.Stop()
//
// A server of HTTP takes httpmw.Drain in place of interceptors.Drain, and
// d.Context as its base context. The front door does all of it.
//
// # Phases
//
//	serving ──Leave──▶ leaving ──Drain──▶ draining ──ctx ends──▶ cut ──grace──▶ stuck
//	                   (ask callers        (long requests         (contexts end:
//	                    to go)              get a Notice)          ErrShutdown)
//
// A handler that may run for long, such as that of a stream, selects on [Notice]
// and comes to an end that its caller understands. One that does not has its
// context canceled, with the cause ctxutil.ErrShutdown, once the time is over; its
// caller gets an error that says the call can be made elsewhere. One that takes no
// notice of that either is stuck: it ends with the process. Stop the server after a
// part of the grace, and wait again: some are stuck in the connection, and unary gRPC
// calls hear of the end no other way.
//
// # What it is not
//
// It stops no server and refuses no request: those that arrive while the server
// is leaving are served, because it was asked before everybody knew. It says
// nothing to registries and probes; discovery and health do.
package drain
