// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/shed"
)

// TestShedByPriority: what matters is admitted longer, by path and by context.
func TestShedByPriority(t *testing.T) {
	s := newShedder(t, 1, shed.WithPriorities(func(ctx context.Context, path string) shed.Priority {
		if path == "/pay" {
			return shed.PriorityCritical
		}
		return shed.ByMethod(ctx, path)
	}))
	lease, err := s.Allow(t.Context(), shed.PriorityNormal)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	h := httpmw.Shed(s)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, tc := range []struct {
		path string
		h    http.Handler
		want int
	}{
		{"/", h, 503},
		{"/readyz", h, 200},
		{"/pay", h, 200},
		{"/pay/", h, 503},
		{"/", prioritized(shed.PriorityCritical)(h), 200},
		{"/readyz", prioritized(shed.PrioritySheddable)(h), 503},
	} {
		if w := direct(tc.h, httptest.NewRequest(http.MethodGet, tc.path, nil)); w.Code != tc.want {
			t.Errorf("%s: %d, want %d", tc.path, w.Code, tc.want)
		}
	}
}

// TestShedIsToldHowLongRequestsTake: of those that say how much work they were, and of
// nothing else.
func TestShedIsToldHowLongRequestsTake(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, tc := range []struct {
		name string
		h    http.HandlerFunc
		took time.Duration
	}{
		{"without a word", func(http.ResponseWriter, *http.Request) {}, time.Second},
		{"with a body", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }, time.Second},
		{"the client's fault", status(404), time.Second},
		{"the server's fault", status(500), 0},
		{"refused further on", status(503), 0},
		{"a limit of ours", status(504), time.Second},
		{"flushed", func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, 0},
		{"flushed, as one did", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, 0},
		{"flushed, through a writer of somebody's", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(struct{ unwrapping }{unwrapping{w}}).Flush()
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShedder(t, 10, shed.WithWindow(500*time.Millisecond, 1))
				h := httpmw.Shed(s)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Second); tc.h(w, r) }))
				for range 3 {
					direct(h, request())
				}
				got := s.Snapshot()
				if got.Latency != tc.took || got.InFlight != 0 || got.Admitted.Total() != 3 {
					t.Errorf("latency %v, %d in flight, %d admitted; want %v, 0, 3", got.Latency, got.InFlight, got.Admitted.Total(), tc.took)
				}
			})
		})
	}
}

type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// TestOutcomeOfAnswer: whose doing the end of a request was.
func TestOutcomeOfAnswer(t *testing.T) {
	late := func(cause error) context.Context {
		ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Second), cause)
		t.Cleanup(cancel)
		return ctx
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	soon, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		code int // 0: nothing was written
		want resilience.Outcome
	}{
		{"ok", t.Context(), 200, resilience.OutcomeOK},
		{"nothing", t.Context(), 0, resilience.OutcomeOK},
		{"fault", t.Context(), 500, resilience.OutcomeServerFault},
		{"nothing, and the caller is gone", gone, 0, resilience.OutcomeCanceled},
		{"an error, and the caller is gone", gone, 500, resilience.OutcomeCanceled},
		{"ok, and the caller is gone", gone, 200, resilience.OutcomeOK},
		{"nothing, by our limit", late(ctxutil.ErrTimeout), 0, resilience.OutcomeTimeout},
		{"504, by our limit", late(ctxutil.ErrTimeout), 504, resilience.OutcomeTimeout},
		{"ok, after our limit", late(ctxutil.ErrTimeout), 200, resilience.OutcomeOK},
		{"nothing, by the caller's deadline", late(ctxutil.ErrCallerDeadline), 0, resilience.OutcomeCallerDeadline},
		{"504, by the caller's deadline", late(ctxutil.ErrCallerDeadline), 504, resilience.OutcomeCallerDeadline},
		{"504, with time left", t.Context(), 504, resilience.OutcomeTimeout},
		{"504, with hardly any time left", soon, 504, resilience.OutcomeCallerDeadline},
	} {
		w := httptest.NewRecorder()
		if got := httpmw.OutcomeOfAnswer(tc.ctx, w, tc.code); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestStreamGivesItsPlaceBack: an answer that is flushed, and a connection that is
// taken over, are streams from then on; all else works as without.
func TestStreamGivesItsPlaceBack(t *testing.T) {
	for name, stream := range map[string]func(http.ResponseWriter) error{
		"flush": func(w http.ResponseWriter) error {
			_, _ = io.WriteString(w, "data: 1\n\n")
			return http.NewResponseController(w).Flush()
		},
		"upgrade": func(w http.ResponseWriter) error {
			conn, buf, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
				err = errors.Join(buf.Flush(), conn.Close())
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShedder(t, 1)
			release, streaming := make(chan struct{}), make(chan error)
			url, client := listen(t, httpmw.Shed(s)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/stream" {
					streaming <- stream(w)
					<-release
				}
			})), false)
			done := make(chan struct{})
			go func() {
				defer close(done)
				if resp, err := client.Get(url + "/stream"); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			}()
			if err := <-streaming; err != nil {
				t.Error(err)
			}
			if got := s.Snapshot().InFlight; got != 0 {
				t.Errorf("%d places taken while it streams, want none", got)
			}
			if got := get(t, client, url); got.StatusCode != http.StatusOK {
				t.Errorf("another request meanwhile: %d", got.StatusCode)
			}
			close(release)
			<-done
			if got := s.Snapshot().InFlight; got != 0 {
				t.Errorf("%d places taken at the end, want none", got)
			}
		})
	}
}

// plainWriter can do no more than it has to.
type plainWriter struct{ http.ResponseWriter }

// TestWhatCannotStreamKeepsItsPlace: a flush that the writer below cannot do sends
// nothing, nor does a hijack.
func TestWhatCannotStreamKeepsItsPlace(t *testing.T) {
	s := newShedder(t, 1)
	h := httpmw.Shed(s)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		if err := c.Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("flush: %v", err)
		}
		if _, _, err := c.Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("hijack: %v", err)
		}
		if got := s.Snapshot().InFlight; got != 1 {
			t.Errorf("%d places taken, want 1", got)
		}
	}))
	h.ServeHTTP(plainWriter{httptest.NewRecorder()}, request())
}

// sendfiler notes whether it was handed a source as it is.
type sendfiler struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (s *sendfiler) ReadFrom(r io.Reader) (int64, error) {
	s.from = r
	return io.Copy(s.ResponseRecorder, r)
}

func (s *sendfiler) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.ErrUnsupported
}

// TestShedLeavesSendfileAlone.
func TestShedLeavesSendfileAlone(t *testing.T) {
	src := strings.NewReader("a file")
	w := &sendfiler{ResponseRecorder: httptest.NewRecorder()}
	httpmw.Shed(newShedder(t, 1))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, struct{ io.Reader }{src})
	})).ServeHTTP(w, request())
	if w.from == nil || w.Body.String() != "a file" {
		t.Errorf("got %q, from %T", w.Body, w.from)
	}
}
