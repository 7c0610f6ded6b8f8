// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

// TestBodyIsClosed: once, whatever becomes of the request.
func TestBodyIsClosed(t *testing.T) {
	answer := func(code int) httpmw.Transport {
		return func(http.RoundTripper) http.RoundTripper {
			return roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				_, _ = io.Copy(io.Discard, r.Body)
				_ = r.Body.Close()
				return &http.Response{StatusCode: code, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			})
		}
	}
	open := newBreaker()
	open.ForceOpen(t.Context())
	full := newBulkhead(1)
	slot := must(full.Allow(t.Context()))
	defer slot.Done()
	for _, tc := range []struct {
		name string
		ts   []httpmw.Transport
	}{
		{"sent", []httpmw.Transport{httpmw.RetryTransport(retryPolicy()), answer(200)}},
		{"retried in vain", []httpmw.Transport{httpmw.RetryTransport(retryPolicy()), answer(503)}},
		{"hedged", []httpmw.Transport{httpmw.HedgeTransport(hedgePolicy(time.Hour)), answer(200)}},
		{"refused by a breaker", []httpmw.Transport{httpmw.BreakerTransport(open), answer(200)}},
		{"refused by a breaker, retried", []httpmw.Transport{httpmw.RetryTransport(retryPolicy()), httpmw.BreakerTransport(open), answer(200)}},
		{"no slot", []httpmw.Transport{httpmw.BulkheadTransport(full), answer(200)}},
		{"no slot, hedged", []httpmw.Transport{httpmw.HedgeTransport(hedgePolicy(time.Hour)), httpmw.BulkheadTransport(full), answer(200)}},
	} {
		for kind, length := range map[string]int64{"known": 4, "unknown": -1, "too long": 1 << 20} {
			t.Run(tc.name+" "+kind, func(t *testing.T) {
				body := &stream{Reader: strings.NewReader("body")}
				r := newRequest(t, http.MethodPut, "http://payment/", body)
				r.ContentLength = length
				resp, err := httpmw.ChainTransport(roundTripperFunc(nil), tc.ts...).RoundTrip(r)
				if err == nil {
					resp.Body.Close()
				}
				if n := body.closes.Load(); n != 1 {
					t.Errorf("closed %d times, want once", n)
				}
			})
		}
	}
}

// TestBodyOfAPanickingTransport: it is closed, too, and what is below may panic before
// or after it has closed it.
func TestBodyOfAPanickingTransport(t *testing.T) {
	for name, below := range map[string]func(r *http.Request){
		"closed":     func(r *http.Request) { _ = r.Body.Close() },
		"not closed": func(*http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBulkhead(1)
			rt := httpmw.ChainTransport(roundTripperFunc(func(r *http.Request) (*http.Response, error) { below(r); panic("no") }),
				httpmw.RetryTransport(retryPolicy(retry.WithPerTryTimeout(time.Hour))), httpmw.BulkheadTransport(b))
			wantPanic(t, "no", func() {
				_, _ = rt.RoundTrip(newRequest(t, http.MethodPut, "http://payment/", &stream{Reader: strings.NewReader("body")}))
			})
			if n := b.Snapshot().InFlight; n != 0 {
				t.Errorf("%d slots taken", n)
			}
		})
	}
}

// blocked is a body whose Read waits until it is closed, as that of a pipe does.
type blocked struct {
	reading chan struct{}
	once    sync.Once
	closed  chan struct{}
	shut    sync.Once
	lingers bool // Read takes notice of that when it is over
	over    chan struct{}
}

func newBlocked() *blocked {
	return &blocked{reading: make(chan struct{}), closed: make(chan struct{}), over: make(chan struct{})}
}

func (b *blocked) Read([]byte) (int, error) {
	b.once.Do(func() { close(b.reading) })
	<-b.closed
	if b.lingers {
		<-b.over
	}
	return 0, io.ErrClosedPipe
}

func (b *blocked) Close() error { b.shut.Do(func() { close(b.closed) }); return nil }

// TestClosingUnblocks: a transport that closes a body which it is still reading means
// the reading to end, as it does without us; nobody hangs, and there is no second
// attempt at what may have lost a part.
func TestClosingUnblocks(t *testing.T) {
	for _, tc := range []struct {
		name    string
		policy  httpmw.Transport
		retried bool
		waits   bool // for the reading to end
	}{
		{"retried", httpmw.RetryTransport(retryPolicy(), httpmw.WithRepeatable("POST")), true, true},
		{"retried, and it returns at once", httpmw.RetryTransport(retryPolicy(), httpmw.WithRepeatable("POST")), true, false},
		{"hedged", httpmw.HedgeTransport(hedgePolicy(time.Millisecond), httpmw.WithRepeatable("POST")), false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := newBlocked()
			body.lingers = !tc.waits
			r := newRequest(t, http.MethodPost, "http://payment/", body)
			r.ContentLength = 10
			var attempts atomic.Int32
			rt := tc.policy(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				attempts.Add(1)
				done := make(chan error, 1)
				go func() {
					_, err := r.Body.Read(make([]byte, 10))
					done <- err
				}()
				<-body.reading
				_ = r.Body.Close()
				if tc.waits {
					return nil, <-done
				}
				return nil, io.ErrUnexpectedEOF
			}))
			_, err := rt.RoundTrip(r)
			if err == nil {
				t.Fatal("no error")
			}
			if tc.retried && (attempts.Load() != 1 || retryReason(err) != retry.ReasonNotReplayable) {
				t.Errorf("%v after %d attempts", err, attempts.Load())
			}
			<-body.closed
			close(body.over)
		})
	}
}

// TestReadersAtTheSameTime: attempts of a hedged request read one body, each all of it.
func TestReadersAtTheSameTime(t *testing.T) {
	const readers = 2
	want := strings.Repeat("0123456789", 1000)
	var got [readers]string
	var n atomic.Int32
	var both sync.WaitGroup
	both.Add(readers)
	rt := httpmw.HedgeTransport(hedgePolicy(time.Millisecond))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		i := n.Add(1) - 1
		both.Done()
		both.Wait()
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		got[i] = string(b)
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}))
	body := &stream{Reader: iotestOneByte(want)}
	r := newRequest(t, http.MethodPut, "http://payment/", body)
	r.ContentLength = int64(len(want))
	if _, err := rt.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([readers]string{want, want}, got); diff != "" || body.closes.Load() != 1 {
		t.Errorf("closed %d times; (-want +got):\n%s", body.closes.Load(), diff)
	}
}

// TestAbandonedReaderDoesNoHarm: a transport may go on reading an attempt's body when
// it has returned; that neither disturbs the next attempt nor goes on for long.
func TestAbandonedReaderDoesNoHarm(t *testing.T) {
	want := strings.Repeat("0123456789", 1000)
	var wg sync.WaitGroup
	for range 100 {
		var n atomic.Int32
		var got string
		rt := httpmw.RetryTransport(retryPolicy())(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
			if n.Add(1) == 1 {
				wg.Go(func() {
					_, _ = io.Copy(io.Discard, r.Body)
					_ = r.Body.Close()
				})
				return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}
			b, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			got = string(b)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))
		body := &stream{Reader: iotestOneByte(want)}
		if _, err := rt.RoundTrip(newRequest(t, http.MethodPut, "http://payment/", body)); err != nil || got != want {
			t.Fatalf("%v; the second attempt read %d bytes of %d", err, len(got), len(want))
		}
		wg.Wait()
		if body.closes.Load() != 1 {
			t.Fatalf("closed %d times", body.closes.Load())
		}
	}
}

// TestCanceledWhileSending: the caller's end is passed on, and the body is closed.
func TestCanceledWhileSending(t *testing.T) {
	s := serveSteps(t, true, status(200))
	ctx, cancel := context.WithCancel(t.Context())
	body := newBlocked()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPut, s.url, body)
	go func() {
		<-body.reading
		cancel()
	}()
	_, err := s.with(httpmw.RetryTransport(retryPolicy())).Do(r)
	if !errors.Is(err, context.Canceled) || retryReason(err) != "" {
		t.Errorf("%v, want Canceled alone", err)
	}
	<-body.closed
}

// TestAbandonedReaderReadsNoMore: what it read after the next attempt has begun would be
// missing there.
func TestAbandonedReaderReadsNoMore(t *testing.T) {
	want := strings.Repeat("0123456789", 100)
	var first io.Reader
	rt := httpmw.RetryTransport(retryPolicy(), httpmw.WithReplay(50))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		if first == nil {
			first = r.Body
			_, _ = io.ReadFull(first, make([]byte, 40))
			return answers(503, http.NoBody).RoundTrip(r)
		}
		if n, err := first.Read(make([]byte, 100)); n != 0 || err == nil {
			t.Errorf("the attempt that was given up read %d bytes more", n)
		}
		b, err := io.ReadAll(r.Body)
		if string(b) != want || err != nil {
			t.Errorf("read %d bytes of %d: %v", len(b), len(want), err)
		}
		return answers(503, http.NoBody).RoundTrip(r)
	}))
	resp, err := rt.RoundTrip(newRequest(t, http.MethodPut, "http://payment/", &stream{Reader: strings.NewReader(want)}))
	if err != nil || retryReason(httpmw.CheckResponse(resp)) != retry.ReasonNotReplayable {
		t.Errorf("%v, %v; want no third attempt: more was read than is kept", err, httpmw.CheckResponse(resp))
	}
}

// TestLostInBetween: an attempt that finds that what came before it is no longer kept
// must not send the rest as if it were all.
func TestLostInBetween(t *testing.T) {
	var first io.Reader
	p := retryPolicy(retry.WithObserver(resilience.Observer{Attempted: func(_ context.Context, e resilience.Attempt) {
		if e.Number == 1 { // the next one is decided upon
			_, _ = io.ReadFull(first, make([]byte, 60))
		}
	}}))
	attempts := 0
	_, err := httpmw.RetryTransport(p, httpmw.WithReplay(50))(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		if attempts++; attempts == 1 {
			first = r.Body
			return answers(503, http.NoBody).RoundTrip(r)
		}
		b, err := io.ReadAll(r.Body)
		if len(b) != 0 || err == nil {
			t.Errorf("read %q, %v", b, err)
		}
		return nil, err
	})).RoundTrip(newRequest(t, http.MethodPut, "http://payment/", &stream{Reader: strings.NewReader(strings.Repeat("x", 100))}))
	if attempts != 2 || retryReason(err) != retry.ReasonNotReplayable {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}

// TestClosingTwiceIsClosingOnce: what one attempt does to its body is not another's.
func TestClosingTwiceIsClosingOnce(t *testing.T) {
	body := &stream{Reader: strings.NewReader("body")}
	attempts, got := 0, ""
	_, err := httpmw.RetryTransport(retryPolicy())(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
		defer r.Body.Close()
		if attempts++; attempts == 1 {
			_ = r.Body.Close()
			return answers(503, http.NoBody).RoundTrip(r)
		}
		b, err := io.ReadAll(r.Body)
		got = string(b)
		if body.closes.Load() != 0 {
			t.Error("closed while it is sent")
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, err
	})).RoundTrip(newRequest(t, http.MethodPut, "http://payment/", body))
	if err != nil || got != "body" || body.closes.Load() != 1 {
		t.Errorf("%v after %d attempts; the last one read %q; closed %d times", err, attempts, got, body.closes.Load())
	}
}
