// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// ClientOption configures [NewClient].
type ClientOption interface{ applyClient(*clientConfig) }

type clientConfig struct {
	endpoint
	interceptors []ClientInterceptor
	dialOptions  []grpc.DialOption
}

type clientOption func(*clientConfig)

func (f clientOption) applyClient(c *clientConfig) { f(c) }

// WithClientInterceptors adds interceptors, the first one outermost; see
// [DialOptions] for their order. Several uses add up.
func WithClientInterceptors(is ...ClientInterceptor) ClientOption {
	return clientOption(func(c *clientConfig) { c.interceptors = append(c.interceptors, is...) })
}

// WithDialOptions adds grpc-go's own options, after those made of the other
// options, so that they win: resolvers, service configs, stats handlers.
func WithDialOptions(opts ...grpc.DialOption) ClientOption {
	return clientOption(func(c *clientConfig) { c.dialOptions = append(c.dialOptions, opts...) })
}

// Client is a connection to one target, to be made once and shared by all
// stubs. It is a [grpc.ClientConnInterface] and safe for concurrent use.
type Client struct {
	*grpc.ClientConn
	handshakes *watchedCredentials
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
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("interceptors: NewClient %q: %w", target, err)
	}
	creds := &watchedCredentials{TransportCredentials: c.credentials(), last: new(atomic.Pointer[error])}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: c.connectTimeout,
		}),
		grpc.WithKeepaliveParams(c.keepalive),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.maxReceiveBytes)),
	}
	dial = append(dial, DialOptions(c.interceptors...)...)
	cc, err := grpc.NewClient(target, append(dial, c.dialOptions...)...)
	if err != nil {
		return nil, fmt.Errorf("interceptors: NewClient %q: %w", target, err)
	}
	return &Client{ClientConn: cc, handshakes: creds}, nil
}

// WaitReady connects, and waits until a call could be sent. It fails when ctx
// ends, when the connection is closed, and at once when waiting cannot help:
// the server's certificate is refused, or it does not speak TLS. The error
// wraps the reason of the last failed handshake, if there was one.
func (c *Client) WaitReady(ctx context.Context) error {
	c.Connect()
	for {
		state := c.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Shutdown:
			return fmt.Errorf("interceptors: WaitReady %s: connection closed", c.Target())
		case connectivity.Idle:
			c.Connect()
		case connectivity.TransientFailure:
			if err := c.handshakes.failure(); isPermanent(err) {
				return fmt.Errorf("interceptors: WaitReady %s: %w", c.Target(), err)
			}
		}
		if !c.WaitForStateChange(ctx, state) {
			return fmt.Errorf("interceptors: WaitReady %s: %v: %w", c.Target(), state, errors.Join(context.Cause(ctx), c.handshakes.failure()))
		}
	}
}

// isPermanent reports whether a handshake that failed with err will fail again.
func isPermanent(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[tls.AlertError](err)
	return ok
}

// watchedCredentials remember why the last handshake failed: grpc-go tells it
// only in the text of a call's error.
type watchedCredentials struct {
	credentials.TransportCredentials
	last *atomic.Pointer[error] // shared by clones
}

// ClientHandshake implements [credentials.TransportCredentials].
func (w *watchedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := w.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		w.last.Store(&err)
	} else {
		w.last.Store(nil)
	}
	return conn, info, err
}

// Clone implements [credentials.TransportCredentials].
func (w *watchedCredentials) Clone() credentials.TransportCredentials {
	return &watchedCredentials{TransportCredentials: w.TransportCredentials.Clone(), last: w.last}
}

func (w *watchedCredentials) failure() error {
	if err := w.last.Load(); err != nil {
		return *err
	}
	return nil
}
