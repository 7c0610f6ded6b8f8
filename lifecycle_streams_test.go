// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// conduct is what a handler does while its server ends.
type conduct struct {
	in      chan struct{} // gets one when the handler has begun
	release chan struct{} // closed when the test is over
	handle  func(ctx context.Context, release <-chan struct{}) error
	cause   chan error // of the handler's context
}

func (c *conduct) do(ctx context.Context) error {
	c.in <- struct{}{}
	defer func() { c.cause <- context.Cause(ctx) }()
	return c.handle(ctx, c.release)
}

// overGRPC behaves so over gRPC.
type overGRPC struct {
	testgrpc.UnimplementedTestServiceServer
	*conduct
}

func (s overGRPC) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, s.do(ctx)
}

func (s overGRPC) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	return s.do(ss.Context())
}

func (s overGRPC) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	return s.do(ss.Context())
}

// overHTTP behaves so over HTTP, in each of these ways.
func (c *conduct) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /poll", func(w http.ResponseWriter, r *http.Request) {
		if c.do(r.Context()) == nil {
			_, _ = io.WriteString(w, "end")
		}
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: begin\n\n")
		_ = http.NewResponseController(w).Flush()
		if c.do(r.Context()) == nil {
			_, _ = io.WriteString(w, "data: end\n\n")
		} else {
			panic(http.ErrAbortHandler)
		}
	})
	mux.HandleFunc("GET /socket", func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: words\r\n\r\n")
		_ = buf.Flush()
		if c.do(r.Context()) == nil {
			_, _ = io.WriteString(conn, "end")
		}
	})
}

// A call returns what its caller got: nil if the handler came to its own end.
type call func(ctx context.Context, svc *fairlead.Service, tls *tls.Config) error

func unavailable(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	if code := status.Code(err); code != codes.Unavailable {
		return fmt.Errorf("NOT UNAVAILABLE: %w", err)
	}
	return err
}

func dialed(svc *fairlead.Service, f func(testgrpc.TestServiceClient) error) error {
	caller, err := fairlead.New("caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""),
		fairlead.WithPolicies(policies.WithDefaults(policies.NoRetry())))
	if err != nil {
		return err
	}
	defer caller.Close()
	cc, err := caller.Dial("passthrough:///" + svc.Addr("grpc"))
	if err != nil {
		return err
	}
	return unavailable(f(testgrpc.NewTestServiceClient(cc)))
}

func fetch(ctx context.Context, transport *http.Transport, url string) error {
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "end")) {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return err
}

func get1(path string) call {
	return func(ctx context.Context, svc *fairlead.Service, _ *tls.Config) error {
		return fetch(ctx, &http.Transport{}, "http://"+svc.Addr("http")+path)
	}
}

func get2(path string) call {
	return func(ctx context.Context, svc *fairlead.Service, config *tls.Config) error {
		return fetch(ctx, &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}, "https://"+svc.Addr("http")+path)
	}
}

func socket(ctx context.Context, svc *fairlead.Service, _ *tls.Config) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", svc.Addr("http"))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	if _, err = io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: words\r\n\r\n"); err != nil {
		return err
	}
	buf := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buf, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return errors.New(resp.Status)
	}
	rest, err := io.ReadAll(buf)
	if err == nil && string(rest) != "end" {
		err = fmt.Errorf("cut after %q", rest)
	}
	return err
}

// TestEndOfStreams: whatever a request is, and whatever it does while the service
// ends, the service ends in time, says what became of it, and so learns its caller.
func TestEndOfStreams(t *testing.T) {
	t.Parallel()
	notice := func(ctx context.Context, _ <-chan struct{}) error { <-drain.Notice(ctx); return nil }
	ended := func(ctx context.Context, _ <-chan struct{}) error { <-ctx.Done(); return context.Cause(ctx) }
	stuck := func(_ context.Context, release <-chan struct{}) error { <-release; return nil }
	short := func(context.Context, <-chan struct{}) error { time.Sleep(100 * time.Millisecond); return nil }
	for _, kind := range []struct {
		name, protocol string
		call           call
		noNotice       bool
		hijacked       bool
	}{
		{"unary", "grpc", func(ctx context.Context, svc *fairlead.Service, _ *tls.Config) error {
			return dialed(svc, func(c testgrpc.TestServiceClient) error {
				_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{})
				return err
			})
		}, true, false},
		{"server stream", "grpc", func(ctx context.Context, svc *fairlead.Service, _ *tls.Config) error {
			return dialed(svc, func(c testgrpc.TestServiceClient) error {
				cs, err := c.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{})
				if err == nil {
					_, err = cs.Recv()
				}
				return err
			})
		}, false, false},
		{"bidi stream", "grpc", func(ctx context.Context, svc *fairlead.Service, _ *tls.Config) error {
			return dialed(svc, func(c testgrpc.TestServiceClient) error {
				cs, err := c.FullDuplexCall(ctx)
				if err == nil {
					_, err = cs.Recv()
				}
				return err
			})
		}, false, false},
		{"long poll", "http", get1("/poll"), false, false},
		{"events", "http", get1("/events"), false, false},
		{"socket", "http", socket, false, true},
		{"long poll over HTTP2", "http", get2("/poll"), false, false},
		{"events over HTTP2", "http", get2("/events"), false, false},
	} {
		for _, tc := range []struct {
			name   string
			handle func(context.Context, <-chan struct{}) error
			counts string
			cause  error
		}{
			{"takes the notice", notice, "drained 1", nil},
			{"ends with its context", ended, "killed 1", ctxutil.ErrShutdown},
			{"takes no notice", stuck, "stuck 1", nil},
		} {
			t.Run(kind.name+" "+tc.name, func(t *testing.T) {
				t.Parallel()
				handle := tc.handle
				if kind.noNotice && tc.cause == nil && tc.counts == "drained 1" {
					handle = short
				}
				cert := certificate(t, "feed")
				roots := x509.NewCertPool()
				roots.AddCert(cert.Leaf)
				security := fairlead.WithPlaintext()
				if strings.HasSuffix(kind.name, "HTTP2") {
					security = fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}, nil)
				}
				logs := &syncBuffer{}
				const limit = 500 * time.Millisecond
				svc := mustNew(t, "feed", security, fairlead.WithLogHandler(jsonLines(logs)), fairlead.WithAdmin(""), fairlead.WithoutSignals(),
					fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithDrainTimeout(limit))
				c := &conduct{in: make(chan struct{}, 1), release: make(chan struct{}), handle: handle, cause: make(chan error, 1)}
				testgrpc.RegisterTestServiceServer(svc.GRPC(), overGRPC{conduct: c})
				c.register(svc.HTTP())
				stop := run(t, svc)
				got := make(chan error, 1)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				go func() { got <- kind.call(ctx, svc, &tls.Config{RootCAs: roots, ServerName: "feed"}) }()
				select {
				case <-c.in:
				case err := <-got:
					t.Fatal("the call: ", err)
				}

				began, end := time.Now(), make(chan error, 1)
				go func() { end <- stop() }()
				var err error
				select {
				case err = <-end:
				case <-time.After(10 * time.Second):
					t.Error("the service does not end")
					close(c.release)
					<-end
					return
				}
				if took := time.Since(began); took > limit+2*time.Second {
					t.Errorf("the end took %v", took)
				}
				if cut := err != nil && strings.Contains(err.Error(), "1 requests were cut"); cut == (tc.counts == "drained 1") {
					t.Errorf("Run returned %v", err)
				}
				if kind.hijacked && tc.counts == "stuck 1" {
					cancel() // the connection is the handler's alone, and ends with the process
				}
				if err := <-got; (err == nil) != (tc.counts == "drained 1") || err != nil && strings.Contains(err.Error(), "NOT UNAVAILABLE") {
					t.Errorf("the caller got %v", err)
				}
				if text := gathered(t, svc, "fairlead_drain_requests_total", kind.protocol); text != tc.counts {
					t.Errorf("counted %q, want %q", text, tc.counts)
				}
				close(c.release)
				if cause := <-c.cause; tc.cause != nil && !kind.noNotice && !errors.Is(cause, tc.cause) {
					t.Errorf("the handler's context ended by %v", cause)
				}
				if n := strings.Count(logs.String(), `"msg":"drained"`); n != 2 {
					t.Errorf("%d lines say how it drained, want 2: %s", n, logs)
				}
				for _, unwanted := range []string{"hijacked", "superfluous", "panic"} {
					if strings.Contains(logs.String(), unwanted) {
						t.Errorf("logged: %s", logs)
					}
				}
			})
		}
	}
}

// TestBlockedInTheConnection: a handler that waits for a caller who reads nothing
// notices neither the notice nor its context. It ends with its connection, in time, and
// does not count as stuck.
func TestBlockedInTheConnection(t *testing.T) {
	t.Parallel()
	svc := mustNew(t, "feed", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""), fairlead.WithoutSignals(),
		fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithDrainTimeout(500*time.Millisecond))
	f := &flood{full: make(chan struct{}, 2)}
	testgrpc.RegisterTestServiceServer(svc.GRPC(), f)
	svc.HTTP().HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		f.send(func(p []byte) error { _, err := w.Write(p); return err })
	})
	stop := run(t, svc)
	conn, err := net.Dial("tcp", svc.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""))
	defer caller.Close()
	cc, err := caller.Dial("passthrough:///" + svc.Addr("grpc"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testgrpc.NewTestServiceClient(cc).StreamingOutputCall(t.Context(), &testgrpc.StreamingOutputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	<-f.full
	<-f.full
	if err := stop(); err == nil || strings.Count(err.Error(), "1 requests were cut") != 2 {
		t.Errorf("Run returned %v", err)
	}
	for _, protocol := range []string{"grpc", "http"} {
		if got := gathered(t, svc, "fairlead_drain_requests_total", protocol); got != "killed 1" {
			t.Errorf("%s: counted %q, want killed 1", protocol, got)
		}
	}
}

// flood sends until nobody takes any more.
type flood struct {
	testgrpc.UnimplementedTestServiceServer
	full chan struct{} // gets one when a message has not gone out for some time
}

func (f *flood) send(one func([]byte) error) {
	blocked := time.AfterFunc(time.Minute, func() { f.full <- struct{}{} })
	defer blocked.Stop()
	for {
		blocked.Reset(200 * time.Millisecond)
		if one(make([]byte, 1<<16)) != nil {
			return
		}
	}
}

func (f *flood) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	f.send(func(p []byte) error {
		return ss.Send(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: p}})
	})
	return ss.Context().Err()
}

// TestSilentConnections: HTTP connections over which nothing has come, such as those
// that callers make in advance, do not hold up the end.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithoutSignals(), fairlead.WithHTTP("127.0.0.1:0"))
	stop := run(t, svc)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, protocol := range []string{"http", "admin"} {
		conn, err := net.Dial("tcp", svc.Addr(protocol))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		get(t, client, "http://"+svc.Addr(protocol)+"/livez", http.StatusOK) // it is accepted
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
}
