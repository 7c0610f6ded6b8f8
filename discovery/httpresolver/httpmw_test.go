// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/record"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// clientOf returns a client as a service has it: a record, policies, and the resolver
// below them.
func clientOf(t testing.TB, r *httpresolver.Resolver, log *bytes.Buffer) *http.Client {
	t.Helper()
	rec := must[*record.Recorder](t)(record.New(record.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))))
	set := must[*policies.Set](t)(policies.New(policies.WithService("order", policies.Retry(retry.WithBackoff(time.Millisecond, 10*time.Millisecond)))))
	client := must[*http.Client](t)(httpmw.NewClient("order", httpmw.WithPlaintext(), httpmw.WithTransports(
		httpmw.RecordTransport(rec, "order"), httpmw.PoliciesTransport(set.Service("order")), httpmw.AttemptTransport(rec), r.Transport)))
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// TestNothingFailsWithRetries: instances are killed, taken away and added under load, and
// no request fails.
func TestNothingFailsWithRetries(t *testing.T) {
	w := newWorld(t)
	servers := map[int]*server{}
	add := func(n int) {
		servers[n] = start(t, n, nil)
		w.put(servers[n].instance)
	}
	for n := range 4 {
		add(n + 1)
	}
	client := clientOf(t, w.resolver(), &bytes.Buffer{})
	var asked, failed atomic.Int64
	const workers, each = 8, 500
	events := map[int64]func(){
		500:  servers[1].kill,                          // and still listed
		1000: func() { add(5) },                        // a new one
		1500: func() { w.remove(servers[2].instance) }, // it goes in order
		2000: servers[3].kill,
		2500: func() { add(6) },
		3000: func() { w.remove(servers[1].instance) }, // its time to live is over
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if event := events[asked.Add(1)]; event != nil {
					mu.Lock()
					event()
					mu.Unlock()
				}
				if _, err := ask(client, "http://order/"); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, workers*each)
	}
	for _, n := range []int{4, 5, 6} {
		if servers[n].calls.Load() == 0 {
			t.Errorf("instance %d got no call", n)
		}
	}
}

// TestInstanceInTheRecord: who makes records learns which instance it was, and the rest
// of the record is about the service.
func TestInstanceInTheRecord(t *testing.T) {
	w := newWorld(t)
	w.put(start(t, 7, nil).instance)
	var log bytes.Buffer
	client := clientOf(t, w.resolver(httpresolver.WithObserver(httpresolver.Observer{
		Picked: func(ctx context.Context, p httpresolver.Picked) {
			ctxutil.Add(ctx, slog.String("server.instance", p.Instance.ID))
		},
	})), &log)
	if got, err := ask(client, "http://order/v1"); got != "order-7" || err != nil {
		t.Fatalf("answer %q, error %v", got, err)
	}
	for _, want := range []string{"server.address=order ", "url.path=/v1", "server.instance=order-7", "http.response.status_code=200"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "127.0.0.1") {
		t.Errorf("an address in %s", log.String())
	}
}
