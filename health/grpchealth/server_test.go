// SPDX-License-Identifier: Apache-2.0

package grpchealth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/health/grpchealth"
)

// states says what services are, by Check and by List, which must agree.
func states(t *testing.T, client grpc_health_v1.HealthClient) string {
	t.Helper()
	list, err := client.List(t.Context(), &grpc_health_v1.HealthListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for name, listed := range list.GetStatuses() {
		resp, err := client.Check(t.Context(), request(name))
		if err != nil || resp.GetStatus() != listed.GetStatus() {
			t.Errorf("%q: %v, %v; listed as %v", name, resp.GetStatus(), err, listed.GetStatus())
		}
		all = append(all, fmt.Sprintf("%s=%v", name, resp.GetStatus()))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t)
		client := p.serve()
		for _, step := range []struct {
			name string
			do   func()
			want string
		}{
			{"not started", func() {}, "=NOT_SERVING shop.Orders=NOT_SERVING shop.Receipts=NOT_SERVING"},
			{"started", p.set.Start, "=SERVING shop.Orders=SERVING shop.Receipts=SERVING"},
			{"mail is down", func() { p.mail.down.Store(true) }, "=SERVING shop.Orders=SERVING shop.Receipts=NOT_SERVING"},
			{"db is down, too", func() { p.db.down.Store(true) }, "=NOT_SERVING shop.Orders=NOT_SERVING shop.Receipts=NOT_SERVING"},
			{"both are up", func() { p.mail.down.Store(false); p.db.down.Store(false) }, "=SERVING shop.Orders=SERVING shop.Receipts=SERVING"},
			{"draining", p.set.Stop, "=NOT_SERVING shop.Orders=NOT_SERVING shop.Receipts=NOT_SERVING"},
			{"closed", p.server.Close, "=NOT_SERVING shop.Orders=NOT_SERVING shop.Receipts=NOT_SERVING"},
		} {
			step.do()
			time.Sleep(10 * time.Second)
			if got := states(t, client); got != step.want {
				t.Errorf("%s: %s\nwant %s", step.name, got, step.want)
			}
		}
		_, err := client.Check(t.Context(), request("shop.Nothing"))
		if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "unknown service" {
			t.Errorf("a service that is not known: %v, want NOT_FOUND", err)
		}
	})
}

func TestListIsBounded(t *testing.T) {
	p := newProcess(t)
	for i := range 98 {
		if _, err := p.server.List(t.Context(), nil); err != nil {
			t.Fatalf("%d services: %v", i+3, err)
		}
		if err := p.server.Add(fmt.Sprintf("shop.S%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.server.List(t.Context(), nil); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("101 services: %v, want RESOURCE_EXHAUSTED", err)
	}
}

func TestAddRegistered(t *testing.T) {
	p := newProcess(t)
	s := grpc.NewServer()
	defer s.Stop()
	testgrpc.RegisterTestServiceServer(s, testgrpc.UnimplementedTestServiceServer{})
	grpc_health_v1.RegisterHealthServer(s, p.server)
	p.server.AddRegistered(s)
	p.server.AddRegistered(s)
	want := []string{"", "grpc.health.v1.Health", "grpc.testing.TestService", "shop.Orders", "shop.Receipts"}
	if got := p.server.Services(); !slices.Equal(got, want) {
		t.Errorf("services %q, want %q", got, want)
	}
}

func TestRefuses(t *testing.T) {
	if _, err := grpchealth.NewServer(nil); err == nil {
		t.Error("a nil set is taken")
	}
	p := newProcess(t)
	_, err := grpchealth.NewServer(p.set, grpchealth.WithService("a", "queue"), grpchealth.WithService(""), grpchealth.WithService("b"))
	want := "grpchealth: service \"a\": health: Group: there is no check \"queue\": add it before\ngrpchealth: service \"\": is known already"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := p.set.Add("other", grpchealth.Check(nil, "")); err == nil || !strings.Contains(err.Error(), "nil check") {
		t.Errorf("a nil connection: %v", err)
	}
}

// TestDependency: a process that asks another for its health.
func TestDependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t)
		client := connection{p.serve()}
		p.set.Start()
		synctest.Wait()
		for service, want := range map[string]string{
			"": "", "shop.Orders": "",
			"shop.Nothing": "rpc error: code = NotFound desc = unknown service",
		} {
			got := ""
			if err := grpchealth.Check(client, service)(t.Context()); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%q: %q, want %q", service, got, want)
			}
		}
		p.set.Stop()
		if err := grpchealth.Check(client, "")(t.Context()); err == nil || err.Error() != `grpchealth: service "" is NOT_SERVING` {
			t.Errorf("draining: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := grpchealth.Check(hanging{}, "")(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hanging: %v, want the deadline", err)
		}
	})
}

// connection makes a connection out of a client again.
type connection struct{ grpc_health_v1.HealthClient }

func (c connection) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if method != grpc_health_v1.Health_Check_FullMethodName {
		return errors.New(method)
	}
	resp, err := c.HealthClient.Check(ctx, args.(*grpc_health_v1.HealthCheckRequest), opts...)
	if err == nil {
		reply.(*grpc_health_v1.HealthCheckResponse).Status = resp.GetStatus()
	}
	return err
}

func (c connection) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("no streams")
}

// hanging never answers.
type hanging struct{ connection }

func (hanging) Invoke(ctx context.Context, _ string, _, _ any, _ ...grpc.CallOption) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

// FuzzCheck: whatever name a peer asks for, it is one of those that are known or it is
// not found, and nothing is kept of it.
func FuzzCheck(f *testing.F) {
	p := newProcess(f)
	for _, name := range []string{"", "shop.Orders", "shop.orders", "shop.Orders\x00", "\xff", strings.Repeat("x", 1<<16)} {
		f.Add(name)
	}
	known := p.server.Services()
	f.Fuzz(func(t *testing.T, name string) {
		resp, err := p.server.Check(t.Context(), request(name))
		if slices.Contains(known, name) {
			if err != nil || resp.GetStatus() != notServing {
				t.Errorf("%q: %v, %v", name, resp, err)
			}
		} else if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "unknown service" {
			t.Errorf("%q: %v, %v", name, resp, err)
		}
		if got := p.server.Services(); !slices.Equal(got, known) {
			t.Errorf("services %q", got)
		}
	})
}

func ExampleNewServer() {
	checks, _ := health.NewSet()
	_ = checks.Add("db", func(context.Context) error { return nil })
	_ = checks.Add("mail", func(context.Context) error { return errors.New("away") }, health.Optional)
	server, err := grpchealth.NewServer(checks,
		grpchealth.WithService("shop.Orders", "db"),
		grpchealth.WithService("shop.Receipts", "db", "mail"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	// In a program: grpc_health_v1.RegisterHealthServer(grpcServer, server)
	checks.Start()
	defer checks.Close()
	_ = checks.Ready(context.Background())
	for checks.Results()[1].State == health.StatePending {
		time.Sleep(time.Millisecond)
	}
	for _, service := range server.Services() {
		resp, err := server.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: service})
		fmt.Printf("%q %v %v\n", service, resp.GetStatus(), err)
	}
	// Output:
	// "" SERVING <nil>
	// "shop.Orders" SERVING <nil>
	// "shop.Receipts" NOT_SERVING <nil>
}
