// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/resolver"
)

// retryInterval is the time between two looks for a service that is not there.
const retryInterval = 100 * time.Millisecond

// Scheme is that of the targets which [Resolver] resolves: "shop:///inventory".
const Scheme = "shop"

// Target returns the gRPC target of a service.
func Target(service string) string { return Scheme + ":///" + service }

// Resolver returns what makes gRPC ask lookup where services are. Give it to
// grpc.WithResolvers.
func Resolver(lookup Lookup) resolver.Builder { return builder{lookup} }

type builder struct{ lookup Lookup }

var _ resolver.Builder = builder{}

func (builder) Scheme() string { return Scheme }

// Build implements [resolver.Builder].
func (b builder) Build(target resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	r := &grpcResolver{lookup: b.lookup, service: target.Endpoint(), cc: cc}
	r.ResolveNow(resolver.ResolveNowOptions{})
	return r, nil
}

type grpcResolver struct {
	lookup  Lookup
	service string
	cc      resolver.ClientConn

	mu     sync.Mutex
	retry  *time.Timer
	closed bool
}

// ResolveNow implements [resolver.Resolver]. gRPC calls it whenever a connection
// breaks. The table is in memory: looking it up takes no time. A service that is
// not there is looked for again until it is.
func (r *grpcResolver) ResolveNow(resolver.ResolveNowOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	a, err := r.lookup.Lookup(context.Background(), r.service)
	if err != nil {
		r.cc.ReportError(err)
		r.retry = time.AfterFunc(retryInterval, func() { r.ResolveNow(resolver.ResolveNowOptions{}) })
		return
	}
	// An error here means that the balancer does not like the addresses; it asks again.
	_ = r.cc.UpdateState(resolver.State{Addresses: []resolver.Address{{Addr: a.GRPC}}})
}

// Close implements [resolver.Resolver].
func (r *grpcResolver) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.retry != nil {
		r.retry.Stop()
	}
}

// Dialer returns what makes an http.Transport ask lookup where services are: it
// connects "payment:80" to wherever the payment service listens.
func Dialer(lookup Lookup) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		service, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		a, err := lookup.Lookup(ctx, service)
		if err != nil {
			return nil, err
		}
		var d net.Dialer
		return d.DialContext(ctx, network, a.HTTP)
	}
}
