// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ServerInterceptor is one concern of a server, for unary calls and streams
// alike. Everything in this package that a server can use is one; foreign
// interceptors become one with [ServerFuncs].
type ServerInterceptor interface {
	UnaryServer() grpc.UnaryServerInterceptor
	StreamServer() grpc.StreamServerInterceptor
}

// ClientInterceptor is one concern of a client, for unary calls and streams
// alike. Foreign interceptors become one with [ClientFuncs].
type ClientInterceptor interface {
	UnaryClient() grpc.UnaryClientInterceptor
	StreamClient() grpc.StreamClientInterceptor
}

// ServerFuncs makes a [ServerInterceptor] of a pair of interceptors from
// elsewhere. One that is nil leaves its kind of call alone.
type ServerFuncs struct {
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// UnaryServer returns Unary.
func (f ServerFuncs) UnaryServer() grpc.UnaryServerInterceptor { return f.Unary }

// StreamServer returns Stream.
func (f ServerFuncs) StreamServer() grpc.StreamServerInterceptor { return f.Stream }

// ClientFuncs makes a [ClientInterceptor] of a pair of interceptors from
// elsewhere. One that is nil leaves its kind of call alone.
type ClientFuncs struct {
	Unary  grpc.UnaryClientInterceptor
	Stream grpc.StreamClientInterceptor
}

// UnaryClient returns Unary.
func (f ClientFuncs) UnaryClient() grpc.UnaryClientInterceptor { return f.Unary }

// StreamClient returns Stream.
func (f ClientFuncs) StreamClient() grpc.StreamClientInterceptor { return f.Stream }

// ServerOptions installs interceptors for unary calls and streams, the first
// one outermost. [Record] comes first, then [Recovery], then [Deadline], then
// yours; these three in this order are run as one, with the same effect and at
// less cost than one by one.
//
// Calls to methods the server does not have go through the stream
// interceptors too, instead of past them: they are answered Unimplemented and
// recorded under the method _OTHER. A [grpc.UnknownServiceHandler] given to
// the server after these options takes its place.
func ServerOptions(is ...ServerInterceptor) []grpc.ServerOption {
	var unary []grpc.UnaryServerInterceptor
	var stream []grpc.StreamServerInterceptor
	for _, i := range fold(is) {
		if u := i.UnaryServer(); u != nil {
			unary = append(unary, u)
		}
		if s := i.StreamServer(); s != nil {
			stream = append(stream, s)
		}
	}
	return append(otelServer(is),
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(stream...),
		grpc.UnknownServiceHandler(unimplemented))
}

// DialOptions installs interceptors for unary calls and streams, the first one
// outermost: [Record], then [Deadline], then [Policies] or single policies in the order
// of [Policing], then [Attempts], then yours. Policies that follow each other are run as
// one layer, with the same effect and at less cost than one by one.
//
// With [Policies], [Retry] or [Hedge] among them gRPC's own retries are switched off,
// whatever the service config says: they would multiply. Its transparent ones, of calls
// that no server has seen, stay.
func DialOptions(is ...ClientInterceptor) []grpc.DialOption {
	return dialOptions(is, false)
}

// dialOptions is DialOptions. It leaves gRPC's own retries alone if they are wanted.
func dialOptions(is []ClientInterceptor, grpcRetries bool) []grpc.DialOption {
	var unary []grpc.UnaryClientInterceptor
	var stream []grpc.StreamClientInterceptor
	for _, i := range foldPolicing(is) {
		if u := i.UnaryClient(); u != nil {
			unary = append(unary, u)
		}
		if s := i.StreamClient(); s != nil {
			stream = append(stream, s)
		}
	}
	opts := append(otelClient(is),
		grpc.WithChainUnaryInterceptor(unary...),
		grpc.WithChainStreamInterceptor(stream...))
	if !grpcRetries && anyPolicing(is, (*Policing).decidesOnRepeats) {
		opts = append(opts, grpc.WithDisableRetry())
	}
	return opts
}

// anyPolicing reports whether there is a [Policing] among is of which f is true.
func anyPolicing(is []ClientInterceptor, f func(*Policing) bool) bool {
	return slices.ContainsFunc(is, func(i ClientInterceptor) bool {
		p, ok := i.(*Policing)
		return ok && f(p)
	})
}

// fold makes one interceptor of a record and the recovery and deadline that
// follow it directly.
func fold(is []ServerInterceptor) []ServerInterceptor {
	if len(is) < 2 {
		return is
	}
	first, ok := is[0].(*Recording)
	if !ok {
		return is
	}
	folded := *first
	rest := is[1:]
	if r, ok := rest[0].(*Recovering); ok {
		folded.recovery = r
		rest = rest[1:]
		if len(rest) > 0 {
			if d, ok := rest[0].(*Deadlines); ok {
				folded.deadline = d
				rest = rest[1:]
			}
		}
	}
	return append([]ServerInterceptor{&folded}, rest...)
}

// unimplemented answers calls to methods the server does not have. The answer
// does not repeat the method: it is the peer's text.
func unimplemented(any, grpc.ServerStream) error {
	return status.Error(codes.Unimplemented, "unknown service or method")
}
