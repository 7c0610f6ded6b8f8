// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
