// SPDX-License-Identifier: Apache-2.0

package grpcbalancer_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	_ "google.golang.org/grpc/balancer/randomsubsetting"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/discovery"
	core "github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/grpcbalancer"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
	"github.com/fairlead-go/fairlead/discovery/static"
)

// server is one that answers with its address, after hold, if that is set.
type server struct {
	testgrpc.UnimplementedTestServiceServer
	address string
	grpc    *grpc.Server
	wg      sync.WaitGroup
	calls   atomic.Int64
	hold    chan struct{}
}

func (s *server) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	s.calls.Add(1)
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &testgrpc.SimpleResponse{ServerId: s.address}, nil
}

// serve serves on an address of loopback, until it is killed or the test ends.
func serve(t testing.TB, address string, hold chan struct{}) *server {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: lis.Addr().String(), grpc: grpc.NewServer(), hold: hold}
	testgrpc.RegisterTestServiceServer(s.grpc, s)
	s.wg.Go(func() { _ = s.grpc.Serve(lis) })
	t.Cleanup(s.kill)
	return s
}

// kill ends it as SIGKILL does: connections break, and nobody listens.
func (s *server) kill() {
	s.grpc.Stop()
	s.wg.Wait()
}

// dial connects to servers through a watcher and our resolver, with a service config.
func dial(t testing.TB, monitor *grpcbalancer.Monitor, config string, servers ...*server) *grpc.ClientConn {
	t.Helper()
	var all []discovery.Instance
	for i, s := range servers {
		all = append(all, discovery.Instance{Namespace: "test", Service: "orders", ID: id(i), Address: s.address, Weight: 1 + i%2})
	}
	registry, err := static.New(all...)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := discovery.NewWatcher(registry, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watcher.Close() })
	resolver, err := grpcresolver.New("static", watcher)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient("static:///orders", grpc.WithResolvers(monitor.Resolver(resolver)), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig(config),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond}, MinConnectTimeout: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func id(i int) string { return fmt.Sprint("orders-", i) }

func call(ctx context.Context, conn *grpc.ClientConn) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := testgrpc.NewTestServiceClient(conn).UnaryCall(ctx, &testgrpc.SimpleRequest{})
	return resp.GetServerId(), err
}

// all calls until every server has answered.
func all(t testing.TB, conn *grpc.ClientConn, servers ...*server) {
	t.Helper()
	answered := map[string]bool{}
	for deadline := time.Now().Add(10 * time.Second); len(answered) < len(servers); {
		a, err := call(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		answered[a] = true
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d servers answered", len(answered), len(servers))
		}
	}
}

const fairlead = `{"loadBalancingConfig":[{"fairlead":{"policy":"random"}}]}`

// TestKilled: of calls when a server is killed, only those fail that are on it. It is out
// of picks, and starts slowly when it is back.
func TestKilled(t *testing.T) {
	hold := make(chan struct{})
	monitor := grpcbalancer.NewMonitor(nil)
	servers := []*server{serve(t, "127.0.0.1:0", hold), serve(t, "127.0.0.1:0", hold), serve(t, "127.0.0.1:0", hold)}
	conn := dial(t, monitor, fairlead, servers...)
	const n = 60
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := call(t.Context(), conn)
			errs <- err
		}()
	}
	sum := func() (n int64) {
		for _, s := range servers {
			n += s.calls.Load()
		}
		return n
	}
	eventually(t, "all calls are in flight", func() bool { return sum() == n })
	victim := servers[1]
	inFlight := int(victim.calls.Load())
	victim.kill()
	for range inFlight {
		if err := <-errs; status.Code(err) != codes.Unavailable {
			t.Errorf("a call on the killed server ended with %v", err)
		}
	}
	close(hold)
	for range n - inFlight {
		if err := <-errs; err != nil {
			t.Errorf("a call on another server failed: %v", err)
		}
	}
	for range 1000 {
		if a, err := call(t.Context(), conn); err != nil || a == victim.address {
			t.Fatalf("%s, %v after the server was killed", a, err)
		}
	}
	var b *core.Balancer
	for b = range monitor.All() {
	}
	if s := b.Stats(); s.Suspended != 1 || s.Usable != 2 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
	back := serve(t, victim.address, nil)
	eventually(t, "it is connected again", func() bool { return b.Stats().Usable == 3 })
	if s := b.Stats(); s.SlowStart != 1 {
		t.Errorf("it is back with its full weight: %+v", s)
	}
	all(t, conn, servers[0], back, servers[2])
}

// TestMonitor: it knows the balancer of a connection for as long as that is open, and its
// observer is told.
func TestMonitor(t *testing.T) {
	var mu sync.Mutex
	var told []string
	monitor := grpcbalancer.NewMonitor(func(target string) core.Option {
		return core.Options(core.WithZone("nowhere"), core.WithObserver(core.Observer{Updated: func(u core.Update) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(target, " +", u.Added))
		}}))
	})
	servers := []*server{serve(t, "127.0.0.1:0", nil), serve(t, "127.0.0.1:0", nil)}
	conn := dial(t, monitor, fairlead, servers...)
	all(t, conn, servers...)
	// The option wins over the configuration, which prefers no zone.
	n := 0
	for b, target := range monitor.All() {
		if n++; target != "orders" || b.Stats().Endpoints != 2 || b.Stats().Picks.Any > 0 || b.Stats().Picks.Spilled == 0 {
			t.Errorf("%s: %+v", target, b.Stats())
		}
	}
	if n != 1 {
		t.Errorf("%d balancers, want 1", n)
	}
	_ = conn.Close()
	for range monitor.All() {
		t.Error("there is a balancer of a connection that is closed")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 1 || told[0] != "orders +2" {
		t.Errorf("told %q", told)
	}
}

// TestGRPCsPolicies: gRPC's own policies work with our resolver. Those that are asked for by
// name have to be imported by whoever asks.
func TestGRPCsPolicies(t *testing.T) {
	for _, c := range []struct {
		policy  string
		servers int // that get calls, of four
	}{
		{`{"pick_first":{"shuffleAddressList":true}}`, 1},
		{`{"round_robin":{}}`, 4},
		{`{"least_request_experimental":{"choiceCount":2}}`, 4},
		{`{"random_subsetting_experimental":{"subsetSize":2,"childPolicy":[{"round_robin":{}}]}}`, 2},
		{`{"fairlead":{}}`, 4},
		{`{"fairlead":{"subset":{"size":3,"client":"shop-1"}}}`, 3},
	} {
		t.Run(c.policy, func(t *testing.T) {
			var servers []*server
			for range 4 {
				servers = append(servers, serve(t, "127.0.0.1:0", nil))
			}
			conn := dial(t, grpcbalancer.NewMonitor(nil), `{"loadBalancingConfig":[`+c.policy+`]}`, servers...)
			answered := func() int {
				n := 0
				for _, s := range servers {
					if s.calls.Load() > 0 {
						n++
					}
				}
				return n
			}
			eventually(t, "as many servers get calls as should", func() bool {
				if _, err := call(t.Context(), conn); err != nil {
					t.Fatal(err)
				}
				return answered() >= c.servers
			})
			for range 100 {
				if _, err := call(t.Context(), conn); err != nil {
					t.Fatal(err)
				}
			}
			if got := answered(); got != c.servers {
				t.Errorf("%d servers get calls, want %d", got, c.servers)
			}
			if conn.GetState() != connectivity.Ready {
				t.Errorf("the connection is %v", conn.GetState())
			}
		})
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so that %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
