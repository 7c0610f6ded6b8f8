// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
	"github.com/fairlead-go/fairlead/testkit/discoverytest"
)

// secured starts an etcd with authentication, whose tokens end after a second without
// use. The user svc may do anything below fairlead/test/.
func secured(t *testing.T) *process {
	t.Helper()
	server := startServer(t, "--auth-token-ttl", "1")
	c := realBackend(t, etcd.WithEndpoints(server.endpoint)).Client()
	prefix := etcd.DefaultPrefix + "/test/"
	for _, err := range []error{
		second(c.UserAdd(call(t), "root", "rootpw")),
		second(c.RoleAdd(call(t), "root")),
		second(c.RoleAdd(call(t), "svc")),
		second(c.UserAdd(call(t), "svc", "pw")),
		second(c.RoleGrantPermission(call(t), "svc", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))),
		second(c.UserGrantRole(call(t), "svc", "svc")),
		second(c.UserGrantRole(call(t), "root", "root")),
		second(c.AuthEnable(call(t))),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return server
}

func second[T any](_ T, err error) error { return err }

func TestAuth(t *testing.T) {
	t.Parallel()
	server := secured(t)
	given, err := clientv3.New(clientv3.Config{Endpoints: []string{server.endpoint}, Username: "svc", Password: "pw", Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = given.Close() })
	withGiven, err := etcd.NewWithClient(given)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*etcd.Backend{
		"own client":   realBackend(t, etcd.WithEndpoints(server.endpoint), etcd.WithUser("svc", "pw")),
		"given client": withGiven,
	} {
		t.Run("tokens end/"+name, func(t *testing.T) {
			t.Parallel()
			q := order
			q.Service = "order-" + name[:3]
			in := instance(1)
			in.Service, in.ID = q.Service, ""
			g := registration(t, b, in)
			register(t, g, time.Minute)
			src := watch(t, b, q)
			next(t, src)
			<-time.After(2500 * time.Millisecond) // nobody uses the token
			if _, err := g.Heartbeat(call(t), discovery.HealthFailing); err != nil {
				t.Errorf("a heartbeat with a token that has ended: %v", err)
			}
			if u := next(t, src); len(u.Put) != 1 {
				t.Errorf("the watch that was open: %+v", u)
			}
			<-time.After(2500 * time.Millisecond)
			// On the stream that the first watch keeps open, with its token of long ago.
			if u := next(t, watch(t, b, q)); len(u.Put) != 1 {
				t.Errorf("a new watch, after the token of the stream has ended: %+v", u)
			}
			if err := g.Deregister(call(t)); err != nil {
				t.Error(err)
			}
			if u := next(t, src); len(u.Remove) != 1 {
				t.Errorf("the watch that was open, after all: %+v", u)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		b := realBackend(t, etcd.WithEndpoints(server.endpoint), etcd.WithUser("svc", "wrong"))
		_, err := registration(t, b, instance(1)).Register(call(t), time.Minute, discovery.HealthPassing)
		if !errors.Is(err, rpctypes.ErrAuthFailed) {
			t.Errorf("got %v, want rpctypes.ErrAuthFailed", err)
		}
		if _, err := watch(t, b, order).Next(call(t)); !errors.Is(err, rpctypes.ErrAuthFailed) {
			t.Errorf("Next: got %v, want rpctypes.ErrAuthFailed", err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		b := realBackend(t, etcd.WithEndpoints(server.endpoint))
		_, err := watch(t, b, order).Next(call(t))
		if !errors.Is(err, rpctypes.ErrUserEmpty) || !strings.Contains(err.Error(), "set a user") {
			t.Errorf("got %v, want rpctypes.ErrUserEmpty and what to do", err)
		}
	})
	t.Run("another environment", func(t *testing.T) {
		t.Parallel()
		b := realBackend(t, etcd.WithEndpoints(server.endpoint), etcd.WithUser("svc", "pw"))
		in := instance(1)
		in.Namespace = "test2" // the role is for test/ and not for test
		_, err := registration(t, b, in).Register(call(t), time.Minute, discovery.HealthPassing)
		if !errors.Is(err, rpctypes.ErrPermissionDenied) || !strings.Contains(err.Error(), "readwrite permission") {
			t.Errorf("got %v, want rpctypes.ErrPermissionDenied and what to do", err)
		}
		if c, err := b.Inspect(call(t)); err != nil || c.Leader == "" {
			t.Errorf("Inspect: %+v, %v", c, err)
		}
	})
}

// TestAuthConformance restarts an etcd, which has its tokens in memory.
func TestAuthConformance(t *testing.T) {
	t.Parallel()
	server := secured(t)
	h := realHarness(realBackend(t, etcd.WithEndpoints(server.endpoint), etcd.WithUser("svc", "pw")))
	h.Namespace = "test"
	h.Faults = map[discoverytest.Fault]discoverytest.Play{discoverytest.AuthExpiry: func(discoverytest.TB) func() {
		server.kill()
		server.start()
		<-time.After(time.Second) // ready would need a user
		return func() {}
	}}
	if !discoverytest.Check(t, discoverytest.FaultRule(discoverytest.AuthExpiry), h) {
		t.Error("the fault was not played")
	}
}

// TestAuthCost: checking a password costs a server tens of milliseconds of its processor,
// so it is done once for a token.
func TestAuthCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, etcd.WithUser("svc", "pw"))
		w.server.User("svc", "pw")
		g := registration(t, w.backend, instance(1))
		register(t, g, time.Minute)
		var open []discovery.Source
		for range 5 {
			if _, err := g.Heartbeat(call(t), discovery.HealthPassing); err != nil {
				t.Fatal(err)
			}
			src := watch(t, w.backend, order)
			next(t, src)
			open = append(open, src)
		}
		if n := w.server.Counts().Logins; n != 1 {
			t.Errorf("logged in %d times for one token, want 1", n)
		}
		w.server.ExpireTokens()
		src := watch(t, w.backend, order)
		next(t, src)
		if n := w.server.Counts(); n.Logins != 2 || n.Streams != 2 {
			t.Errorf("a new watch after the token has ended: %+v, want a second login and a second stream", n)
		}
		for _, s := range append(open, src) {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := w.server.Counts().Streams; n != 0 {
			t.Errorf("%d streams are left", n)
		}
		if err := g.Deregister(call(t)); err != nil {
			t.Error(err)
		}
	})
}

// TestAuthEnabledLater: authentication may come, or go, while processes run.
func TestAuthEnabledLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, etcd.WithUser("svc", "pw"))
		g := registration(t, w.backend, instance(1))
		register(t, g, time.Minute)
		w.server.User("svc", "pw")
		var err error
		for range 2 { // the first one finds out
			_, err = g.Heartbeat(call(t), discovery.HealthPassing)
		}
		if err != nil {
			t.Errorf("after authentication was enabled: %v", err)
		}
		if err := g.Deregister(call(t)); err != nil {
			t.Error(err)
		}
	})
}

// TestStreamRefused: a renewal whose token is refused is the last one with that token.
func TestStreamRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, etcd.WithUser("svc", "pw"))
		w.server.User("svc", "pw")
		g := registration(t, w.backend, instance(1))
		register(t, g, time.Minute)
		w.server.ExpireTokens()
		_, err := g.Register(call(t), time.Minute, discovery.HealthPassing)
		if err != nil && !errors.Is(err, rpctypes.ErrInvalidAuthToken) {
			t.Errorf("got %v, want rpctypes.ErrInvalidAuthToken or nothing", err)
		}
		register(t, g, time.Minute)
		if err := g.Deregister(call(t)); err != nil {
			t.Error(err)
		}
	})
}
