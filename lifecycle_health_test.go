// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/health"
)

// counted answers, and counts that.
type counted struct {
	testgrpc.UnimplementedTestServiceServer
	calls atomic.Int64
	early atomic.Int64 // before it was ready
	ready func() bool
}

func (c *counted) note() {
	c.calls.Add(1)
	if !c.ready() {
		c.early.Add(1)
	}
}

func (c *counted) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	c.note()
	return &testgrpc.SimpleResponse{}, nil
}

// TestSlowStart: an instance that takes its time gets no call before it is ready, and
// then gets its share soon; callers notice nothing.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	registry := memory.New()
	began := time.Now()
	const takes = 2 * time.Second
	start := func(ready func() bool) *counted {
		c := &counted{ready: ready}
		svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithAdmin(""),
			fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithDrainWait(50*time.Millisecond),
			fairlead.WithCheck("cache", func(context.Context) error {
				if !ready() {
					return errors.New("cold")
				}
				return nil
			}, health.WithInterval(20*time.Millisecond)))
		testgrpc.RegisterTestServiceServer(svc.GRPC(), c)
		svc.HTTP().HandleFunc("GET /", func(http.ResponseWriter, *http.Request) { c.note() })
		stop := run(t, svc)
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
		return c
	}
	fast := start(func() bool { return true })
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""), fairlead.WithRegistry(registry))
	defer caller.Close()
	cc, err := caller.Dial("order")
	if err != nil {
		t.Fatal(err)
	}
	client, err := caller.HTTPClient("order")
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); fast.calls.Load() == 0 && time.Now().Before(end); {
		_, _ = testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
	}
	began = time.Now()
	slow := start(func() bool { return time.Since(began) > takes })
	for time.Since(began) < takes+time.Second {
		if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
		get(t, client, "http://order/", http.StatusOK)
	}
	if n := slow.early.Load(); n != 0 {
		t.Errorf("%d calls before it was ready", n)
	}
	if n := slow.calls.Load(); n == 0 {
		t.Error("no call a second after it was ready")
	}
}

// TestChangesOfHealthAreToldAtOnce, though heartbeats are seconds apart.
func TestChangesOfHealthAreToldAtOnce(t *testing.T) {
	t.Parallel()
	registry := memory.New()
	var down atomic.Bool
	down.Store(true)
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
		fairlead.WithRegistry(registry), fairlead.WithDrainWait(0), fairlead.WithRegistration(discovery.WithTTL(time.Hour)),
		fairlead.WithCheck("db", func(context.Context) error {
			if down.Load() {
				return errors.New("down")
			}
			return nil
		}, health.WithInterval(5*time.Millisecond)))
	stop := run(t, svc)
	query := discovery.Query{Namespace: discovery.DefaultNamespace, Service: "order"}
	wait := func(want string) {
		t.Helper()
		began := time.Now()
		for time.Since(began) < 5*time.Second {
			if all := registry.Instances(query); len(all) == 1 && all[0].Health.String() == want {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("not %s after %v: %v", want, time.Since(began), registry.Instances(query))
	}
	wait("failing")
	registered := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return svc.Registered(ctx)
	}
	if err := registered(20 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "db: error") {
		t.Errorf("what is not ready cannot be called, and Registered said %v", err)
	}
	down.Store(false)
	wait("passing")
	if err := registered(5 * time.Second); err != nil {
		t.Error(err)
	}
	down.Store(true)
	wait("failing")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestSaysThatItLeaves: who asks a service that leaves, over gRPC or HTTP, by a
// connection that exists or a new one, hears that it leaves; and is served all the
// same until the drain wait is over.
func TestSaysThatItLeaves(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(),
		fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithRegistry(memory.New()), fairlead.WithDrainWait(wait))
	c := &counted{ready: func() bool { return true }}
	testgrpc.RegisterTestServiceServer(svc.GRPC(), c)
	stop := registered(t, svc)
	addr, web, admin := svc.Addr("grpc"), "http://"+svc.Addr("http"), "http://"+svc.Addr("admin")
	dial := func() *grpc.ClientConn {
		cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cc.Close() })
		return cc
	}
	old := dial()
	watch, err := grpc_health_v1.NewHealthClient(old).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", first, err)
	}
	began := time.Now()
	var ending sync.WaitGroup
	ending.Go(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	defer ending.Wait()
	if next, err := watch.Recv(); err != nil || next.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("who watches got %v, %v", next, err)
	}
	for _, cc := range []*grpc.ClientConn{old, dial()} {
		resp, err := grpc_health_v1.NewHealthClient(cc).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "grpc.testing.TestService"})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("who asks got %v, %v", resp, err)
		}
		if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
			t.Errorf("a call: %v", err)
		}
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, url := range []string{web, admin} {
		if body := get(t, client, url+"/readyz", http.StatusServiceUnavailable); !strings.Contains(body, "draining") {
			t.Errorf("/readyz: %s", body)
		}
		get(t, client, url+"/livez", http.StatusOK)
	}
	if resp, err := client.Get(web + "/livez"); err != nil {
		t.Error(err)
	} else {
		if !resp.Close {
			t.Error("callers keep their connections")
		}
		_ = resp.Body.Close()
	}
	if took := time.Since(began); took > wait {
		t.Skipf("the machine stood still for %v", took)
	}
}
