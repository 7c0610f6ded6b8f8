// SPDX-License-Identifier: Apache-2.0

package ctxutil_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
)

func TestCausesMatchTheStandardErrors(t *testing.T) {
	t.Parallel()
	all := []error{ctxutil.ErrCallerCanceled, ctxutil.ErrCallerDeadline, ctxutil.ErrTimeout, ctxutil.ErrShutdown, ctxutil.ErrHedgeLost}
	for i, err := range all {
		timeout := err == ctxutil.ErrCallerDeadline || err == ctxutil.ErrTimeout
		if got := errors.Is(err, context.DeadlineExceeded); got != timeout {
			t.Errorf("%v is context.DeadlineExceeded: %v, want %v", err, got, timeout)
		}
		if got := errors.Is(err, context.Canceled); got == timeout {
			t.Errorf("%v is context.Canceled: %v, want %v", err, got, !timeout)
		}
		if got := (&url.Error{Err: err}).Timeout(); got != timeout {
			t.Errorf("%v is a timeout for net/http: %v, want %v", err, got, timeout)
		}
		for j, other := range all {
			if got := errors.Is(err, other); got != (i == j) {
				t.Errorf("errors.Is(%v, %v) = %v", err, other, got)
			}
		}
	}
}

// REQ-C5: whoever ended it, the answer is the same for every layer that asks.
func TestEndedBy(t *testing.T) {
	t.Parallel()
	canceled := func(cause error) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		return ctx
	}
	expired := func(cause error) context.Context {
		ctx, cancel := context.WithDeadlineCause(context.Background(), time.Unix(0, 0), cause)
		t.Cleanup(cancel)
		return ctx
	}
	plain, cancel := context.WithCancel(context.Background())
	cancel()
	child, cancelChild := context.WithCancel(canceled(ctxutil.ErrShutdown))
	cancelChild()

	for _, tc := range []struct {
		name string
		ctx  context.Context
		want ctxutil.End
		text string
	}{
		{"alive", context.Background(), ctxutil.EndNone, "none"},
		{"plain cancel", plain, ctxutil.EndCallerCanceled, "caller_canceled"},
		{"plain deadline", expired(nil), ctxutil.EndCallerDeadline, "caller_deadline"},
		{"caller canceled", canceled(ctxutil.ErrCallerCanceled), ctxutil.EndCallerCanceled, "caller_canceled"},
		{"caller's deadline", expired(ctxutil.ErrCallerDeadline), ctxutil.EndCallerDeadline, "caller_deadline"},
		{"own timeout", expired(ctxutil.ErrTimeout), ctxutil.EndTimeout, "timeout"},
		{"own timeout, by cancel", canceled(ctxutil.ErrTimeout), ctxutil.EndTimeout, "timeout"},
		{"shutdown", canceled(ctxutil.ErrShutdown), ctxutil.EndShutdown, "shutdown"},
		{"hedge lost", canceled(ctxutil.ErrHedgeLost), ctxutil.EndHedgeLost, "hedge_lost"},
		{"wrapped", canceled(fmt.Errorf("draining node 7: %w", ctxutil.ErrShutdown)), ctxutil.EndShutdown, "shutdown"},
		{"somebody else's cause", canceled(errors.New("user pressed stop")), ctxutil.EndCallerCanceled, "caller_canceled"},
		{"somebody else's deadline cause", expired(errors.New("too slow")), ctxutil.EndCallerDeadline, "caller_deadline"},
		{"inherited", child, ctxutil.EndShutdown, "shutdown"},
	} {
		if got := ctxutil.EndedBy(tc.ctx); got != tc.want || got.String() != tc.text {
			t.Errorf("%s: ended by %v, want %v (%s)", tc.name, got, tc.want, tc.text)
		}
	}
}

// net/http returns the cause in place of ctx.Err(): the causes must pass for it.
func TestCauseThroughHTTPClient(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)

	budget := mustBudget(t, ctxutil.WithMaxTimeout(20*time.Millisecond))
	ctx, cancel, err := ctxutil.WithBudget(t.Context(), budget)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := srv.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("the call succeeded")
	}
	var urlErr *url.Error
	if !errors.As(err, &urlErr) || !urlErr.Timeout() || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ctxutil.ErrTimeout) {
		t.Errorf("err = %v (%T), want our timeout and the standard one", err, err)
	}
}

func TestEndedByCostsNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ctxutil.ErrShutdown)
	if n := testing.AllocsPerRun(100, func() { ctxutil.EndedBy(ctx) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
