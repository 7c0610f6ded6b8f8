// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
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

// retryReason is why there was not another attempt.
func retryReason(err error) string {
	if e, ok := errors.AsType[*resilience.AttemptsError](err); ok {
		return e.Reason
	}
	return ""
}

// TestBodyIsSentAgain: every form of body, whole in each attempt, or said to be gone.
func TestBodyIsSentAgain(t *testing.T) {
	const small = "charge 7 EUR"
	big := strings.Repeat("0123456789abcdef", 4<<10+1) // over 64 KiB
	length := func(n int64) func(*http.Request) { return func(r *http.Request) { r.ContentLength = n } }
	for _, tc := range []struct {
		name     string
		body     func() io.Reader
		change   func(*http.Request)
		opts     []httpmw.PolicingOption
		want     string
		attempts int
		chunked  bool
	}{
		{name: "none", body: func() io.Reader { return nil }, attempts: 3},
		{name: "NoBody", body: func() io.Reader { return http.NoBody }, attempts: 3},
		{name: "GetBody", body: func() io.Reader { return strings.NewReader(small) }, want: small, attempts: 3},
		{name: "GetBody, of any size", body: func() io.Reader { return strings.NewReader(big) }, want: big, attempts: 3},
		{name: "no length", body: func() io.Reader { return &stream{Reader: strings.NewReader(small)} }, want: small, attempts: 3, chunked: true},
		{name: "no length, in pieces", body: func() io.Reader { return &stream{Reader: iotestOneByte(small)} }, want: small, attempts: 3, chunked: true},
		{name: "a length", body: func() io.Reader { return &stream{Reader: strings.NewReader(small)} }, change: length(int64(len(small))), want: small, attempts: 3},
		{name: "as much as is kept", body: func() io.Reader { return &stream{Reader: strings.NewReader(big[:64<<10])} }, want: big[:64<<10], attempts: 3, chunked: true},
		{name: "a byte more", body: func() io.Reader { return &stream{Reader: strings.NewReader(big[:64<<10+1])} }, want: big[:64<<10+1], attempts: 1, chunked: true},
		{name: "a length that is too much", body: func() io.Reader { return &stream{Reader: strings.NewReader(big)} }, change: length(int64(len(big))), want: big, attempts: 1},
		{
			name: "as much as is allowed", body: func() io.Reader { return &stream{Reader: strings.NewReader(big)} }, want: big, attempts: 3, chunked: true,
			opts: []httpmw.PolicingOption{httpmw.WithReplay(int64(len(big)))},
		},
		{
			name: "nothing is kept", body: func() io.Reader { return &stream{Reader: strings.NewReader("x")} }, want: "x", attempts: 1, chunked: true,
			opts: []httpmw.PolicingOption{httpmw.WithReplay(-1)},
		},
		{
			name: "nothing is kept, and GetBody", body: func() io.Reader { return strings.NewReader(small) }, want: small, attempts: 3,
			opts: []httpmw.PolicingOption{httpmw.WithReplay(0)},
		},
	} {
		for proto, http2 := range protocols {
			t.Run(tc.name+" "+proto, func(t *testing.T) {
				s := serveSteps(t, http2, status(503), status(503), status(200))
				body := tc.body()
				r := newRequest(t, http.MethodPut, s.url, body)
				if tc.change != nil {
					tc.change(r)
				}
				wantLength, contentLength := r.ContentLength, r.ContentLength
				if body, ok := body.(*stream); ok && tc.change == nil {
					wantLength, contentLength = -1, 0 // unknown
					_ = body
				}
				got := send(t, s.with(httpmw.RetryTransport(retryPolicy(), tc.opts...)), r)
				if reason := retryReason(httpmw.CheckResponse(got.Response)); len(s.requests()) != tc.attempts || tc.attempts == 1 && reason != retry.ReasonNotReplayable {
					t.Errorf("%d attempts, %q; want %d", len(s.requests()), reason, tc.attempts)
				}
				for i, q := range s.requests() {
					if q.body != tc.want || q.err != nil || q.contentLength != wantLength || !http2 && (len(q.transfer) > 0) != tc.chunked {
						t.Errorf("attempt %d: %d bytes, %v, length %d, %v; want %d, length %d", i+1, len(q.body), q.err, q.contentLength, q.transfer, len(tc.want), wantLength)
					}
				}
				if r.ContentLength != contentLength || len(r.Header) != 0 || body == nil && r.Body != nil {
					t.Errorf("the request was changed: %+v", r)
				}
				if body, ok := body.(*stream); ok && body.closes.Load() != 1 {
					t.Errorf("the body was closed %d times, want once", body.closes.Load())
				}
			})
		}
	}
}

func iotestOneByte(s string) io.Reader {
	var rs []io.Reader
	for i := range len(s) {
		rs = append(rs, strings.NewReader(s[i:i+1]))
	}
	return io.MultiReader(rs...)
}

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

// TestStreamIsNotHeldBack: a body that is written while the answer is read goes out as
// it comes. Kept beforehand, it would never be sent.
func TestStreamIsNotHeldBack(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				rc := http.NewResponseController(w)
				if !http2 {
					_ = rc.EnableFullDuplex()
				}
				buf := make([]byte, 5)
				for range 3 {
					if _, err := io.ReadFull(r.Body, buf); err != nil {
						t.Error(err)
						return
					}
					_, _ = w.Write(bytes.ToUpper(buf))
					_ = rc.Flush()
				}
			}), http2)
			pr, pw := io.Pipe()
			c := &http.Client{Transport: httpmw.RetryTransport(retryPolicy())(plain.Transport)}
			go func() { _, _ = io.WriteString(pw, "ping ") }()
			resp, err := c.Do(newRequest(t, http.MethodPut, base, pr))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			buf := make([]byte, 5)
			for i := range 3 {
				if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != "PING " {
					t.Fatalf("%q, %v", buf, err)
				}
				if i < 2 {
					_, _ = io.WriteString(pw, "ping ")
				}
			}
			_ = pw.Close()
		})
	}
}

// TestUnreadBodyIsSentAgain: of a server that answers before it has read the body, and
// one that is asked whether it wants the body at all.
func TestUnreadBodyIsSentAgain(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			var n, continues atomic.Int32
			var got atomic.Pointer[string]
			base, plain := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Expect") == "100-continue" {
					continues.Add(1)
				}
				if n.Add(1) == 1 {
					w.Header().Set("Connection", "close")
					w.WriteHeader(503)
					return
				}
				b, _ := io.ReadAll(r.Body)
				text := string(b)
				got.Store(&text)
			}), http2)
			if tr, ok := plain.Transport.(*http.Transport); ok {
				tr.ExpectContinueTimeout = time.Minute
			}
			body := &stream{Reader: strings.NewReader("not wanted at first")}
			r := newRequest(t, http.MethodPut, base, body)
			r.Header.Set("Expect", "100-continue")
			resp := send(t, &http.Client{Transport: httpmw.RetryTransport(retryPolicy())(plain.Transport)}, r)
			if text := got.Load(); resp.StatusCode != 200 || text == nil || *text != "not wanted at first" || !http2 && continues.Load() != 2 {
				t.Errorf("%d, %v, %d with Expect", resp.StatusCode, text, continues.Load())
			}
		})
	}
}

// TestTrailersAreSentAgain: those of a request, which its body sets.
func TestTrailersAreSentAgain(t *testing.T) {
	for proto, http2 := range protocols {
		t.Run(proto, func(t *testing.T) {
			s := serveSteps(t, http2, status(503), status(200))
			body := &stream{}
			r := newRequest(t, http.MethodPut, s.url, body)
			r.Trailer = http.Header{"Checksum": nil}
			body.Reader = io.MultiReader(strings.NewReader("body"), readerFunc(func([]byte) (int, error) {
				r.Trailer.Set("Checksum", "841a2d68")
				return 0, io.EOF
			}))
			send(t, s.with(httpmw.RetryTransport(retryPolicy())), r)
			for i, q := range s.requests() {
				if q.body != "body" || q.trailer.Get("Checksum") != "841a2d68" {
					t.Errorf("attempt %d: %q with trailers %v", i+1, q.body, q.trailer)
				}
			}
			if len(s.requests()) != 2 {
				t.Errorf("%d attempts, want 2", len(s.requests()))
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestBrokenBodyIsNotSentAgain: what cannot be read to its end once cannot be read
// again, and neither can what GetBody does not give.
func TestBrokenBodyIsNotSentAgain(t *testing.T) {
	broken := errors.New("disk on fire")
	for proto, http2 := range protocols {
		t.Run("broken "+proto, func(t *testing.T) {
			s := serveSteps(t, http2, status(200))
			body := &stream{Reader: io.MultiReader(strings.NewReader("half"), errReader{broken})}
			_, err := s.with(httpmw.RetryTransport(retryPolicy())).Do(newRequest(t, http.MethodPut, s.url, body))
			if e, ok := errors.AsType[*resilience.AttemptsError](err); !errors.Is(err, broken) || !ok || e.Attempts != 1 || e.Reason != retry.ReasonNotReplayable {
				t.Errorf("%v, want the body's error after one attempt", err)
			}
			if body.closes.Load() != 1 {
				t.Errorf("closed %d times", body.closes.Load())
			}
		})
	}
	t.Run("GetBody", func(t *testing.T) {
		s := serveSteps(t, false, status(503))
		r := newRequest(t, http.MethodPut, s.url, strings.NewReader("body"))
		r.GetBody = func() (io.ReadCloser, error) { return nil, broken }
		_, err := s.with(httpmw.RetryTransport(retryPolicy())).Do(r)
		if !errors.Is(err, broken) || retryReason(err) != retry.ReasonNotReplayable || len(s.requests()) != 1 {
			t.Errorf("%v after %d requests", err, len(s.requests()))
		}
	})
}

// blocked is a body whose Read waits until it is closed, as that of a pipe does.
type blocked struct {
	reading chan struct{}
	once    sync.Once
	closed  chan struct{}
	shut    sync.Once
}

func newBlocked() *blocked {
	return &blocked{reading: make(chan struct{}), closed: make(chan struct{})}
}

func (b *blocked) Read([]byte) (int, error) {
	b.once.Do(func() { close(b.reading) })
	<-b.closed
	return 0, io.ErrClosedPipe
}

func (b *blocked) Close() error { b.shut.Do(func() { close(b.closed) }); return nil }

// TestClosingUnblocks: a transport that closes a body which it is still reading means
// the reading to end, as it does without us; nobody hangs, and there is no second
// attempt at what may have lost a part.
func TestClosingUnblocks(t *testing.T) {
	for name, policy := range map[string]httpmw.Transport{
		"retried": httpmw.RetryTransport(retryPolicy(), httpmw.WithRepeatable("POST")),
		"hedged":  httpmw.HedgeTransport(hedgePolicy(time.Millisecond), httpmw.WithRepeatable("POST")),
	} {
		t.Run(name, func(t *testing.T) {
			body := newBlocked()
			r := newRequest(t, http.MethodPost, "http://payment/", body)
			r.ContentLength = 10
			var attempts atomic.Int32
			rt := policy(roundTripperFunc(func(r *http.Request) (*http.Response, error) {
				attempts.Add(1)
				done := make(chan error)
				go func() {
					_, err := r.Body.Read(make([]byte, 10))
					done <- err
				}()
				<-body.reading
				_ = r.Body.Close()
				return nil, <-done
			}))
			_, err := rt.RoundTrip(r)
			if err == nil {
				t.Fatal("no error")
			}
			if name == "retried" && (attempts.Load() != 1 || retryReason(err) != retry.ReasonNotReplayable) {
				t.Errorf("%v after %d attempts", err, attempts.Load())
			}
			<-body.closed
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
