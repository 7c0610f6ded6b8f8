// SPDX-License-Identifier: Apache-2.0

package grpchealth_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/health"
)

// seen is what a watch was told, and when.
type seen struct {
	mu  sync.Mutex
	all []string
}

func (s *seen) add(began time.Time, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf(format, args...)+" at "+time.Since(began).String())
}

func (s *seen) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.all, want) {
		t.Errorf("told %s\nwant %s", strings.Join(s.all, ", "), strings.Join(want, ", "))
	}
}

// watch watches a service until the watch ends.
func watch(t *testing.T, client grpc_health_v1.HealthClient, service string) *seen {
	t.Helper()
	began, s := time.Now(), &seen{}
	stream, err := client.Watch(t.Context(), request(service))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				s.add(began, "%v", status.Code(err))
				return
			}
			s.add(began, "%v", resp.GetStatus())
		}
	}()
	synctest.Wait()
	return s
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t)
		client := p.serve()
		whole, orders, receipts, later := watch(t, client, ""), watch(t, client, "shop.Orders"), watch(t, client, "shop.Receipts"), watch(t, client, "shop.Later")
		p.set.Start() // mail runs 10 ms after db
		time.Sleep(1500 * time.Millisecond)
		p.mail.down.Store(true)
		time.Sleep(time.Second)
		p.db.down.Store(true)
		time.Sleep(time.Second)
		p.db.down.Store(false)
		p.mail.down.Store(false)
		time.Sleep(time.Second)
		if err := p.server.Add("shop.Later", "db"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		p.set.Stop()
		time.Sleep(time.Second) // while others notice, watches stay: their clients would ask again at once
		p.server.Close()
		p.server.Close()
		const end = "NOT_SERVING at 1h0m4.5s, Unavailable at 1h0m5.5s"
		whole.want(t, strings.Split("NOT_SERVING at 0s, SERVING at 0s, NOT_SERVING at 3s, SERVING at 4s, "+end, ", ")...)
		orders.want(t, strings.Split("NOT_SERVING at 0s, SERVING at 0s, NOT_SERVING at 3s, SERVING at 4s, "+end, ", ")...)
		receipts.want(t, strings.Split("NOT_SERVING at 0s, SERVING at 10ms, NOT_SERVING at 2.01s, SERVING at 4.01s, "+end, ", ")...)
		later.want(t, strings.Split("SERVICE_UNKNOWN at 0s, SERVING at 4.5s, "+end, ", ")...)
		// Whoever comes now is not told anything, so that it backs off.
		watch(t, client, "").want(t, "Unavailable at 0s")
	})
}

// TestCloseOfServing: also a server that was never asked to drain says what is so before
// its watches end.
func TestCloseOfServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t)
		client := p.serve()
		p.set.Start()
		synctest.Wait()
		s := watch(t, client, "shop.Orders")
		p.server.Close()
		s.want(t, "SERVING at 0s", "NOT_SERVING at 0s", "Unavailable at 0s")
	})
}

// TestWatchSeesStale: nobody tells of a process that does not get round to its checks.
func TestWatchSeesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		p := newProcess(t, health.WithObserver(health.Observer{Ran: func(r health.Result) {
			if r.Failures == 0 && r.Name == "db" {
				<-let
			}
		}}))
		client := p.serve()
		p.set.Start()
		synctest.Wait()
		s := watch(t, client, "")
		time.Sleep(time.Minute)
		s.want(t, "SERVING at 0s", "NOT_SERVING at 5s") // stale after 4 s: due at 1 s, two intervals, the time-out
		close(let)
	})
}

// slowStream takes one message whenever it is let.
type slowStream struct {
	grpc.ServerStream
	ctx  context.Context
	let  chan struct{}
	sent []grpc_health_v1.HealthCheckResponse_ServingStatus
}

func (s *slowStream) Context() context.Context { return s.ctx }

func (s *slowStream) Send(r *grpc_health_v1.HealthCheckResponse) error {
	<-s.let
	s.sent = append(s.sent, r.GetStatus())
	return nil
}

// TestSlowWatcher: what a client does not take is not kept for it.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t)
		p.set.Start()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		s := &slowStream{ctx: ctx, let: make(chan struct{})}
		done := make(chan error, 1)
		go func() { done <- p.server.Watch(request(""), s) }()
		for i := range 1001 {
			p.db.down.Store(i%2 == 0)
			time.Sleep(time.Second)
		}
		s.let <- struct{}{}
		s.let <- struct{}{}
		synctest.Wait()
		if want := []grpc_health_v1.HealthCheckResponse_ServingStatus{serving, notServing}; !slices.Equal(s.sent, want) {
			t.Errorf("sent %v, want %v: what was when it began, and what is", s.sent, want)
		}
		cancel()
		if err := <-done; status.Code(err) != codes.Canceled {
			t.Errorf("Watch: %v, want CANCELED", err)
		}
	})
}

// TestWatchCycles: watches come and go, of services that are not known, too, and nothing
// of them stays.
func TestWatchCycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t)
		client := p.serve()
		p.set.Start()
		synctest.Wait()
		for i := range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			service, want := "", serving
			if i%2 == 0 {
				service, want = fmt.Sprintf("made.Up%d", i), unknown
			}
			stream, err := client.Watch(ctx, request(service))
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := stream.Recv(); err != nil || resp.GetStatus() != want {
				t.Fatalf("%q: %v, %v", service, resp, err)
			}
			cancel()
		}
		if got := p.server.Services(); len(got) != 3 {
			t.Errorf("services %q after it", got)
		}
	})
}
