// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
)

// ClientOption configures [NewClient].
type ClientOption interface{ applyClient(*clientConfig) }

type clientConfig struct {
	endpoint
	interceptors []ClientInterceptor
	fallbacks    []ClientInterceptor
	grpcRetries  bool
	dialOptions  []grpc.DialOption
}

type clientOption func(*clientConfig)

func (f clientOption) applyClient(c *clientConfig) { f(c) }

// WithClientInterceptors adds interceptors, the first one outermost; see
// [DialOptions] for their order. Several uses add up.
func WithClientInterceptors(is ...ClientInterceptor) ClientOption {
	return clientOption(func(c *clientConfig) { c.interceptors = append(c.interceptors, is...) })
}

// WithFallbacks adds interceptors of [Fallback], the first one outermost, in their
// place: below the [Record] that the interceptors begin with, and above all others,
// whatever the order of the options. Several uses add up.
func WithFallbacks(fs ...ClientInterceptor) ClientOption {
	return clientOption(func(c *clientConfig) { c.fallbacks = append(c.fallbacks, fs...) })
}

// chain returns all interceptors in their order.
func (c *clientConfig) chain() []ClientInterceptor {
	below := 0
	if len(c.interceptors) > 0 {
		if _, ok := c.interceptors[0].(*Recording); ok {
			below = 1
		}
	}
	return slices.Insert(slices.Clone(c.interceptors), below, c.fallbacks...)
}

// WithDialOptions adds grpc-go's own options, after those made of the other
// options, so that they win: resolvers, service configs, stats handlers.
func WithDialOptions(opts ...grpc.DialOption) ClientOption {
	return clientOption(func(c *clientConfig) { c.dialOptions = append(c.dialOptions, opts...) })
}

// WithServiceConfigRetries leaves retries to gRPC, as the retryPolicy of the service
// config has it. Interceptors that retry or hedge calls, too, are then an error of
// [NewClient], because the attempts of both would multiply. [GRPCAttempts] makes gRPC's
// attempts visible.
//
// The default is that gRPC does as its service config says, but for clients with
// [Policies], [Retry] or [Hedge], where it does not retry.
func WithServiceConfigRetries() ClientOption {
	return clientOption(func(c *clientConfig) { c.grpcRetries = true })
}

// Client is a connection to one target, to be made once and shared by all
// stubs. It is a [grpc.ClientConnInterface] and safe for concurrent use.
type Client struct {
	*grpc.ClientConn
	watch *connectWatch
}

// NewClient returns a connection to target, as [grpc.NewClient] does, with
// everything explicit that decides how it behaves on a bad day: TLS unless
// [WithPlaintext] asks otherwise, back-off and time limit of connecting,
// keepalive, message size. It does not wait; see [Client.WaitReady].
func NewClient(target string, opts ...ClientOption) (*Client, error) {
	c := &clientConfig{endpoint: defaultEndpoint()}
	for _, o := range opts {
		o.applyClient(c)
	}
	if c.grpcRetries && anyPolicing(c.interceptors, (*Policing).repeats) {
		c.errs = append(c.errs, errors.New("WithServiceConfigRetries: Retry, Hedge and Policies that do either would double gRPC's attempts: must not be there"))
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("interceptors: NewClient %q: %w", target, err)
	}
	watch := &connectWatch{}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(&watchedCredentials{TransportCredentials: c.credentials(), watch: watch}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: c.connectTimeout,
		}),
		grpc.WithKeepaliveParams(c.keepalive),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.maxReceiveBytes)),
	}
	if !hasProxy() { // to which only grpc-go's own dialer connects
		dial = append(dial, grpc.WithContextDialer(watch.dial))
	}
	dial = append(dial, dialOptions(c.chain(), c.grpcRetries)...)
	cc, err := grpc.NewClient(target, append(dial, c.dialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("interceptors: NewClient %q: %w", target, err)
	}
	return &Client{ClientConn: cc, watch: watch}, nil
}

// WaitReady connects, and waits until a call could be sent. It fails when ctx
// ends, when the connection is closed, and at once when waiting cannot help:
// one side refuses the other's certificate, or the server does not speak TLS.
// The error wraps the cause of ctx and the reason why connecting failed last,
// if it did; through a proxy, or with a dialer of your own, only a reason that
// came up after dialling is known.
func (c *Client) WaitReady(ctx context.Context) error {
	c.Connect()
	for {
		ready, err := c.waitOnce(ctx)
		if ready {
			return nil
		}
		if err != nil {
			return fmt.Errorf("interceptors: WaitReady %s: %w", c.Target(), err)
		}
	}
}

// waitOnce waits until something has happened to a connection that is not ready.
func (c *Client) waitOnce(ctx context.Context) (ready bool, err error) {
	wakeable, stop := c.watch.wakeable(ctx)
	defer stop()
	state := c.GetState()
	switch state {
	case connectivity.Ready:
		return true, nil
	case connectivity.Shutdown:
		return false, errors.New("connection closed")
	case connectivity.Idle:
		c.Connect()
	case connectivity.TransientFailure:
		if err := c.watch.failure(); isPermanent(err) {
			return false, err
		}
	}
	if c.WaitForStateChange(wakeable, state) || ctx.Err() == nil {
		return false, nil
	}
	err = context.Cause(ctx)
	if reason := c.watch.failure(); reason != nil {
		err = fmt.Errorf("%w: %w", err, reason)
	}
	return false, fmt.Errorf("%v: %w", state, err)
}
