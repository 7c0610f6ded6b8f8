// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/discovery/etcd/internal/etcdtest"
)

// TestMain lets more tests run at the same time than there are processors: those with
// real servers do nothing but wait.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// within is how long calls of tests may take.
const within = 5 * time.Second

// world is a fake server and a back end that uses it.
type world struct {
	*testing.T
	server  *etcdtest.Server
	backend *etcd.Backend
}

func newWorld(t *testing.T, opts ...etcd.Option) *world {
	t.Helper()
	server := etcdtest.New()
	t.Cleanup(server.Stop)
	return &world{t, server, newBackend(t, server, opts...)}
}

func newBackend(t *testing.T, server *etcdtest.Server, opts ...etcd.Option) *etcd.Backend {
	t.Helper()
	b, err := etcd.New(append([]etcd.Option{etcd.WithEndpoints("http://etcd:2379"), etcd.WithDialer(server.Dial)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBackend(t, b) })
	return b
}

func closeBackend(t *testing.T, b *etcd.Backend) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// call returns the context of one call.
func call(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	t.Cleanup(cancel)
	return ctx
}

var order = discovery.Query{Namespace: "test", Service: "order"}

// instance returns the n-th instance of order.
func instance(n int) discovery.Instance {
	in, err := discovery.Instance{
		Namespace: order.Namespace, Service: order.Service, Address: fmt.Sprintf("10.0.0.%d:8443", n), Health: discovery.HealthPassing,
	}.Normalized()
	if err != nil {
		panic(err)
	}
	return in
}

func keyOf(in discovery.Instance) string { return etcd.DefaultPrefix + "/" + in.Key().String() }

func registration(t *testing.T, b *etcd.Backend, in discovery.Instance) discovery.Registration {
	t.Helper()
	g, err := b.Registration(in)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func register(t *testing.T, g discovery.Registration, ttl time.Duration) time.Duration {
	t.Helper()
	granted, err := g.Register(call(t), ttl, discovery.HealthPassing)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	return granted
}

func watch(t *testing.T, b *etcd.Backend, q discovery.Query) discovery.Source {
	t.Helper()
	src, err := b.Watch(call(t), q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func next(t *testing.T, src discovery.Source) discovery.Update {
	t.Helper()
	u, err := src.Next(call(t))
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	return u
}
