// SPDX-License-Identifier: Apache-2.0

package drill

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
)

// Load is callers of a service, over gRPC and HTTP, that do not stop for errors.
type Load struct {
	t      testing.TB
	svc    *fairlead.Service
	stop   context.CancelFunc
	ending sync.WaitGroup

	calls, failed atomic.Int64
	mu            sync.Mutex
	errors        []string
	byInstance    map[string]int64
}

// LoadConfig says how a service is called.
type LoadConfig struct {
	// Callers is how many calls there are at a time over each protocol.
	Callers int
	// Pause is how long a caller waits between two calls.
	Pause time.Duration
	// Options are those of the calling service, such as policies.
	Options []fairlead.Option
}

// NewLoad begins to call a service, and returns when calls have succeeded over
// both protocols.
func NewLoad(t testing.TB, catalog discovery.Catalog, service string, c LoadConfig) *Load {
	t.Helper()
	svc, err := fairlead.New("caller", append([]fairlead.Option{
		fairlead.WithPlaintext(), fairlead.WithAdmin(""), fairlead.WithRegistry(catalog),
		fairlead.WithLogHandler(slog.DiscardHandler),
	}, c.Options...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{t: t, svc: svc, stop: stop, byInstance: map[string]int64{}}
	t.Cleanup(func() { l.Stop() })
	conn, err := svc.Dial(service)
	if err != nil {
		t.Fatal(err)
	}
	client, err := svc.HTTPClient(service)
	if err != nil {
		t.Fatal(err)
	}
	stub := testgrpc.NewTestServiceClient(conn)
	overGRPC := func(ctx context.Context) (string, error) {
		// The first call waits for the registry's first answer, as all do.
		resp, err := stub.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.WaitForReady(false))
		return resp.GetServerId(), err
	}
	overHTTP := func(ctx context.Context) (string, error) { return get(ctx, client, "http://"+service+"/work") }
	for _, call := range []func(context.Context) (string, error){overGRPC, overHTTP} {
		first, cancel := context.WithTimeout(ctx, 10*time.Second)
		if _, err := call(first); err != nil {
			t.Fatalf("the first call: %v", err)
		}
		cancel()
		for range max(c.Callers, 1) {
			l.ending.Go(func() {
				for ctx.Err() == nil {
					l.one(call)
					if c.Pause > 0 {
						time.Sleep(c.Pause)
					}
				}
			})
		}
	}
	return l
}

func get(ctx context.Context, client *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// one makes a call, which goes on when the load ends.
func (l *Load) one(call func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	id, err := call(ctx)
	l.calls.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.failed.Add(1)
		if len(l.errors) < 10 {
			l.errors = append(l.errors, time.Now().Format("15:04:05.000 ")+err.Error())
		}
		return
	}
	l.byInstance[id]++
}

// Calls returns how many calls have ended.
func (l *Load) Calls() int64 { return l.calls.Load() }

// Failed returns how many calls have failed.
func (l *Load) Failed() int64 { return l.failed.Load() }

// Service returns the service that calls.
func (l *Load) Service() *fairlead.Service { return l.svc }

// Served returns how many calls each process has answered, by its id.
func (l *Load) Served() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.byInstance)
}

// WaitCalls waits until n calls have ended since the load began.
func (l *Load) WaitCalls(n int64, limit time.Duration) {
	l.t.Helper()
	end := time.Now().Add(limit)
	for l.Calls() < n {
		if time.Now().After(end) {
			l.t.Fatalf("%d calls in %v, want %d", l.Calls(), limit, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Stop ends the load. It can be called twice.
func (l *Load) Stop() *Load {
	l.stop()
	l.ending.Wait()
	_ = l.svc.Close()
	return l
}

// WantFailures fails the test if more calls failed than that, or fewer were made
// than at least.
func (l *Load) WantFailures(most, atLeast int64) {
	l.t.Helper()
	if n := l.Calls(); n < atLeast {
		l.t.Errorf("%d calls, want %d at least", n, atLeast)
	}
	if n := l.Failed(); n > most {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t.Errorf("%d of %d calls failed, want %d at most:\n%s", n, l.Calls(), most, strings.Join(l.errors, "\n"))
	}
	l.t.Logf("%d calls, %d failed", l.Calls(), l.Failed())
}
