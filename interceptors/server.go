// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// ServerOption configures [NewServer].
type ServerOption interface{ applyServer(*serverConfig) }

type serverConfig struct {
	endpoint
	interceptors  []ServerInterceptor
	serverOptions []grpc.ServerOption
}

type serverOption func(*serverConfig)

func (f serverOption) applyServer(c *serverConfig) { f(c) }

// WithServerInterceptors adds interceptors, the first one outermost; see
// [ServerOptions] for their order. Several uses add up.
func WithServerInterceptors(is ...ServerInterceptor) ServerOption {
	return serverOption(func(c *serverConfig) { c.interceptors = append(c.interceptors, is...) })
}

// WithGRPCOptions adds grpc-go's own options, after those made of the other
// options, so that they win.
func WithGRPCOptions(opts ...grpc.ServerOption) ServerOption {
	return serverOption(func(c *serverConfig) { c.serverOptions = append(c.serverOptions, opts...) })
}

// NewServer returns a server with everything explicit that decides how it
// behaves on a bad day: TLS unless [WithPlaintext] asks otherwise, the time a
// connection may take to be set up, keepalive and how often clients may ping,
// message size, calls per connection.
func NewServer(opts ...ServerOption) (*grpc.Server, error) {
	c := &serverConfig{endpoint: defaultEndpoint()}
	for _, o := range opts {
		o.applyServer(c)
	}
	if c.tls == nil && !c.plaintext {
		c.errs = append(c.errs, errors.New("a server needs WithTLS or, asked for by name, WithPlaintext"))
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("interceptors: NewServer: %w", err)
	}
	server := []grpc.ServerOption{
		grpc.Creds(c.credentials()),
		grpc.ConnectionTimeout(c.connectTimeout),
		grpc.MaxRecvMsgSize(c.maxReceiveBytes),
		grpc.MaxConcurrentStreams(DefaultMaxConcurrentStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: c.keepalive.Time, Timeout: c.keepalive.Timeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minKeepalive, PermitWithoutStream: true}),
	}
	server = append(server, ServerOptions(c.interceptors...)...)
	return grpc.NewServer(append(server, c.serverOptions...)...), nil
}
