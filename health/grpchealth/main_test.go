// SPDX-License-Identifier: Apache-2.0

package grpchealth_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"

	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/health/grpchealth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	unknown    = grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
)

var errDown = errors.New("connection refused by 10.0.0.7")

// dependency works, or not.
type dependency struct{ down atomic.Bool }

func (d *dependency) check(context.Context) error {
	if d.down.Load() {
		return errDown
	}
	return nil
}

// process is a set with two checks, one of them optional, and a server for it. Checks
// are not damped, and run once a second.
type process struct {
	t        testing.TB
	set      *health.Set
	server   *grpchealth.Server
	db, mail dependency
}

func newProcess(t testing.TB, opts ...health.SetOption) *process {
	t.Helper()
	p := &process{t: t}
	var err error
	p.set, err = health.NewSet(append([]health.SetOption{health.WithJitter(0), health.WithDamping(1, 1), health.WithInterval(1e9)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.set.Close)
	if err := errors.Join(p.set.Add("db", p.db.check), p.set.Add("mail", p.mail.check, health.Optional)); err != nil {
		t.Fatal(err)
	}
	p.server, err = grpchealth.NewServer(p.set, grpchealth.WithService("shop.Orders", "db"), grpchealth.WithService("shop.Receipts", "mail", "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.server.Close)
	return p
}

// serve serves in memory, and returns a client.
func (p *process) serve() grpc_health_v1.HealthClient {
	p.t.Helper()
	s := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(s, p.server)
	l := bufconn.Listen(1 << 16)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///health", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			p.t.Error(err)
		}
		s.Stop()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
	return grpc_health_v1.NewHealthClient(conn)
}

func request(service string) *grpc_health_v1.HealthCheckRequest {
	return &grpc_health_v1.HealthCheckRequest{Service: service}
}
