// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"math"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Connections are tried again at the pace of those who wait for them: gRPC's own, up to
// two minutes, would make a long outage longer.
const (
	minReconnect = 100 * time.Millisecond
	maxReconnect = 2 * time.Second
)

// attempts is how often the client makes a call whose token was refused. What it takes
// for a reason to repeat otherwise, this package never lets it see.
const attempts = 2

// maxMessage is how large an answer may be: a list of ten thousand instances is more than
// gRPC's 4 MB. It is what etcd's client allows.
var maxMessage = grpc.MaxCallRecvMsgSize(math.MaxInt32)

// client returns the configuration of a client that hides nothing: it fails a call when
// there is no connection, notices a peer that has gone without a word, and is back soon.
// It logs nothing: what it would say, its errors say to whoever called.
func (c *config) client(s *session) clientv3.Config {
	dial := []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minReconnect, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxReconnect},
			MinConnectTimeout: c.connectTimeout,
		}),
	}
	if s != nil {
		dial = append(dial, grpc.WithChainUnaryInterceptor(s.unary), grpc.WithChainStreamInterceptor(s.stream))
	}
	if c.dialer != nil {
		dial = append(dial, grpc.WithContextDialer(c.dialer))
	}
	return clientv3.Config{
		Endpoints: c.endpoints, TLS: c.tls, Logger: zap.NewNop(), MaxUnaryRetries: attempts,
		DialKeepAliveTime: c.keepAliveTime, DialKeepAliveTimeout: c.keepAliveTimeout,
		DialOptions: dial,
	}
}
