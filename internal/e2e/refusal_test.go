// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sony/gobreaker/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/fallback"
	"github.com/fairlead-go/fairlead/resilience/retry"
	"github.com/fairlead-go/fairlead/resilience/shed"
	"github.com/fairlead-go/fairlead/testkit/telemetrytest"
)

// internalWord stands for all that no peer is to learn.
const internalWord = "10.0.0.7:5432"

// link is a service that is called, calls the next one, and passes its error on.
type link struct {
	kind  string        // "gRPC", "gRPC stream" or "HTTP"
	plain bool          // it does not use Fairlead, for what it serves and what it calls
	wraps bool          // what it passes on it wraps
	retry *retry.Policy // of its callers
	shed  *shed.Shedder

	grpcFallback interceptors.ClientInterceptor // of its callers
	httpFallback httpmw.Transport
	told         *[]string // what its trailer says of a degraded answer
}

func (l link) String() string {
	if l.plain {
		return "plain " + l.kind
	}
	return l.kind
}

// pass returns the error that l passes on.
func (l link) pass(err error) error {
	if err == nil || !l.wraps {
		return err
	}
	return fmt.Errorf("asking %s: %w", internalWord, err)
}

// build returns the step with which caller calls l, which does next.
func (l link) build(w *world, caller link, name string, next step) step {
	if l.kind == "HTTP" {
		return l.overHTTP(w, caller, name, next)
	}
	return l.overGRPC(w, caller, name, next)
}

func (l link) overGRPC(w *world, caller link, name string, next step) step {
	rec := w.recorder(name)
	var server []interceptors.ServerInterceptor
	var client []interceptors.ClientInterceptor
	if !l.plain {
		server = append(server, interceptors.Record(rec), interceptors.Recovery())
	}
	if l.shed != nil {
		server = append(server, interceptors.Shed(l.shed))
	}
	if !caller.plain {
		client = append(client, interceptors.Record(rec))
	}
	if l.grpcFallback != nil {
		client = append(client, l.grpcFallback)
	}
	if l.retry != nil {
		client = append(client, interceptors.Retry(l.retry))
	}
	so, do := interceptors.ServerOptions(server...), interceptors.DialOptions(client...)
	srv := grpc.NewServer(so...)
	testgrpc.RegisterTestServiceServer(srv, &service{next: func(ctx context.Context) error { return l.pass(next(ctx)) }})
	lis, done := newPipes(), make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(lis)
	}()
	cc, err := grpc.NewClient("passthrough:///"+name, append(do,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.dial(ctx) }))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cc.Close()
		srv.Stop()
		<-done
	})
	call := unary
	if l.kind == "gRPC stream" {
		call = stream
	}
	if l.told != nil {
		call = func(ctx context.Context, c testgrpc.TestServiceClient) error {
			var trailer metadata.MD
			_, err := c.UnaryCall(ctx, &testgrpc.SimpleRequest{}, grpc.Trailer(&trailer))
			*l.told = trailer[interceptors.KeyDegraded]
			return err
		}
	}
	return func(ctx context.Context) error { return call(ctx, testgrpc.NewTestServiceClient(cc)) }
}

func (l link) overHTTP(w *world, caller link, name string, next step) step {
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpmw.WriteError(w, r, l.pass(next(r.Context())))
	})
	rec := w.recorder(name)
	var server []httpmw.Middleware
	var client []httpmw.Transport
	if !l.plain {
		server = append(server, httpmw.Record(rec), httpmw.Recovery())
	}
	if l.shed != nil {
		server = append(server, httpmw.Shed(l.shed))
	}
	if !caller.plain {
		client = append(client, httpmw.RecordTransport(rec, name))
	}
	if l.httpFallback != nil {
		client = append(client, l.httpFallback)
	}
	if l.retry != nil {
		client = append(client, httpmw.RetryTransport(l.retry))
	}
	transport := w.serveHTTP(httpmw.Chain(h, server...))
	c := &http.Client{Transport: httpmw.ChainTransport(transport, client...)}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+"/", nil)
		if err != nil {
			return err
		}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return httpmw.CheckResponse(resp)
	}
}

// serveHTTP serves h in memory, and returns a transport that leads there.
func (w *world) serveHTTP(h http.Handler) *http.Transport {
	lis, done := newPipes(), make(chan struct{})
	srv := &http.Server{Handler: h} //nolint:gosec // in memory
	go func() {
		defer close(done)
		_ = srv.Serve(lis)
	}()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return lis.dial(ctx) }}
	w.t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		<-done
	})
	return transport
}

// linked returns the step that calls the first of links, which calls the second, and
// so on; the last one does last. The first is called "front", the others have names
// that nobody outside is to learn.
func linked(w *world, last step, links ...link) step {
	next := last
	for i := len(links) - 1; i >= 0; i-- {
		name, caller := "front", link{}
		if i > 0 {
			name, caller = fmt.Sprintf("10.0.0.7-%d", i), links[i-1]
		}
		next = links[i].build(w, caller, name, next)
	}
	return next
}

var refusals = []struct {
	policy  resilience.Policy
	matches error
}{
	{resilience.PolicyBreaker, gobreaker.ErrOpenState},
	{resilience.PolicyRateLimit, resilience.ErrRateLimited},
	{resilience.PolicyConcurrency, resilience.ErrOverloaded},
	{resilience.PolicyBulkhead, resilience.ErrOverloaded},
	{resilience.PolicyShed, resilience.ErrOverloaded},
	{resilience.PolicyDeadline, resilience.ErrBudgetExhausted},
	{resilience.PolicyDiscovery, resilience.ErrNoEndpoints},
}

// waysOfErrors are the ways that an error takes back to its caller.
var waysOfErrors = [][]link{
	{{kind: "gRPC"}},
	{{kind: "HTTP"}},
	{{kind: "gRPC"}, {kind: "gRPC"}},
	{{kind: "gRPC stream"}, {kind: "gRPC"}},
	{{kind: "gRPC"}, {kind: "gRPC stream"}},
	{{kind: "HTTP"}, {kind: "HTTP"}},
	{{kind: "gRPC"}, {kind: "HTTP"}, {kind: "gRPC"}},
	{{kind: "HTTP"}, {kind: "gRPC"}, {kind: "HTTP"}},
	{{kind: "HTTP"}, {kind: "gRPC stream"}, {kind: "gRPC stream"}},
	{{kind: "gRPC"}, {kind: "gRPC", plain: true}, {kind: "gRPC"}},
	{{kind: "gRPC stream"}, {kind: "gRPC stream", plain: true}, {kind: "gRPC"}},
}

// TestRefusalIsTheSameEverywhere: of whatever policy, however many hops away, and
// whatever handlers wrap around it, it is what it was, and nothing else travels.
func TestRefusalIsTheSameEverywhere(t *testing.T) {
	for _, row := range refusals {
		for _, way := range waysOfErrors {
			for _, wraps := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v/%v", row.policy, way, wraps), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						links := append([]link(nil), way...)
						for i := range links {
							links[i].wraps = wraps
						}
						err := linked(w, func(context.Context) error {
							return &resilience.RejectedError{
								Policy: row.policy, Name: internalWord, Reason: "so it is", RetryAfter: 1500 * time.Millisecond, Err: errors.New(internalWord),
							}
						}, links...)(t.Context())
						got, ok := errors.AsType[*resilience.RejectedError](err)
						if !ok {
							t.Fatalf("err = %v, want one with a RejectedError", err)
						}
						want := &resilience.RejectedError{Policy: row.policy, Name: "front", Reason: "so it is", RetryAfter: 1500 * time.Millisecond, Remote: true}
						if diff := cmp.Diff(want, got); diff != "" {
							t.Errorf("(-want +got):\n%s", diff)
						}
						if !errors.Is(err, row.matches) {
							t.Errorf("err = %v, want one that is %v", err, row.matches)
						}
						learnsNothing(t, err)
						synctest.Wait()
						telemetrytest.Check(t, w.seen.Run(t))
					})
				})
			}
		}
	}
}

// learnsNothing fails the test if there is more in err than a peer is to know.
func learnsNothing(t *testing.T, err error) {
	t.Helper()
	all := fmt.Sprint(err, status.Convert(err).Proto())
	if answer, ok := errors.AsType[*httpmw.StatusError](err); ok {
		all += fmt.Sprint(answer.Problem)
	}
	if strings.Contains(all, "10.0.0.7") {
		t.Errorf("the peer learns of what is inside: %s", all)
	}
}

// TestThroughAProxy: one that knows nothing of refusals passes them on, and one that
// passes on no more than the status says what a status says.
func TestThroughAProxy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		policy  resilience.Policy
		careful bool
		matches error
	}{
		{"breaker", resilience.PolicyBreaker, true, gobreaker.ErrOpenState},
		{"rate limit", resilience.PolicyRateLimit, true, resilience.ErrRateLimited},
		{"breaker, status only", resilience.PolicyBreaker, false, nil},
		{"rate limit, status only", resilience.PolicyRateLimit, false, resilience.ErrRateLimited},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				back := w.serveHTTP(httpmw.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					httpmw.WriteError(w, r, &resilience.RejectedError{Policy: tc.policy, RetryAfter: 2 * time.Second})
				}), httpmw.Record(w.recorder("back"))))
				proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "back"})
				proxy.Transport = back
				if !tc.careful {
					proxy.ModifyResponse = func(r *http.Response) error { r.Body = http.NoBody; r.Header = http.Header{}; return nil }
				}
				transport := w.serveHTTP(proxy)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://proxy/", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := httpmw.RecordTransport(w.recorder("caller"), "proxy")(transport).RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				err = httpmw.CheckResponse(resp)
				_ = resp.Body.Close()
				for _, row := range refusals {
					if got, want := errors.Is(err, row.matches), row.matches == tc.matches; got != want { //nolint:errorlint // the very same
						t.Errorf("errors.Is(%v, %v) = %v, want %v", err, row.matches, got, want)
					}
				}
				e, _ := errors.AsType[*resilience.RejectedError](err)
				if tc.careful && (e == nil || e.RetryAfter != 2*time.Second) {
					t.Errorf("refusal %v, want 2s", e)
				}
			})
		})
	}
}

// TestFailureOverHTTPBehindGRPC: a gRPC server whose HTTP server failed says so, and
// not which one that is.
func TestFailureOverHTTPBehindGRPC(t *testing.T) {
	for code, want := range map[int]codes.Code{
		400: codes.Internal, 404: codes.Internal, 500: codes.Unknown, 502: codes.Unknown, 503: codes.Unavailable, 504: codes.DeadlineExceeded,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				back := httpmw.RecordTransport(w.recorder("back"), "back")(w.serveHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(code)
				})))
				err := link{kind: "gRPC", wraps: true}.build(w, link{}, "front", func(ctx context.Context) error {
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+internalWord+"/", nil)
					if err != nil {
						return err
					}
					resp, err := back.RoundTrip(req)
					if err != nil {
						return err
					}
					defer resp.Body.Close()
					return httpmw.CheckResponse(resp)
				})(t.Context())
				if status.Code(err) != want {
					t.Errorf("err = %v, want %v", err, want)
				}
				learnsNothing(t, err)
			})
		})
	}
}

// TestDegradedIsTold: whichever protocol the fallback stood in over, the server that
// asked tells its caller over the other.
func TestDegradedIsTold(t *testing.T) {
	down := func(context.Context) error { return &resilience.RejectedError{Policy: resilience.PolicyShed} }
	for _, inner := range []string{"gRPC", "HTTP"} {
		t.Run(inner, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				grpcMenu, err1 := fallback.New("menu", fallback.Value(&testgrpc.SimpleResponse{}))
				httpMenu, err2 := fallback.New("menu", fallback.Value(httpmw.Reply{}))
				if err := errors.Join(err1, err2); err != nil {
					t.Fatal(err)
				}
				// The server in front speaks the other protocol, and answers well.
				back := link{kind: inner, grpcFallback: interceptors.Fallback(grpcMenu), httpFallback: httpmw.FallbackTransport(httpMenu)}
				ask := back.build(w, link{}, "back", down)
				var told []string
				if inner == "HTTP" {
					front := link{kind: "gRPC", told: &told}
					if err := front.build(w, link{}, "front", ask)(t.Context()); err != nil {
						t.Fatal(err)
					}
				} else {
					h := httpmw.Chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						httpmw.WriteError(w, r, ask(r.Context()))
					}), httpmw.Record(w.recorder("front")))
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://front/", nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := w.serveHTTP(h).RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					told = resp.Header[httpmw.HeaderDegraded]
				}
				if len(told) != 1 || told[0] != "true" {
					t.Errorf("the caller is told %q", told)
				}
				synctest.Wait()
				telemetrytest.Check(t, w.seen.Run(t))
			})
		})
	}
}

// newRetry returns a policy that tries three times.
func newRetry(t *testing.T, name string) *retry.Policy {
	t.Helper()
	p, err := retry.New(name, retry.WithMaxAttempts(3), retry.WithBackoff(time.Millisecond, time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRetriedInVainOnce: when every hop would retry, the last one does, and the others
// are asked not to.
func TestRetriedInVainOnce(t *testing.T) {
	for _, kinds := range [][]string{
		{"gRPC", "gRPC", "gRPC"}, {"HTTP", "HTTP", "HTTP"}, {"gRPC", "HTTP", "gRPC"}, {"HTTP", "gRPC", "HTTP"}, {"gRPC stream", "gRPC stream", "gRPC stream"},
	} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var links []link
				for i, kind := range kinds {
					links = append(links, link{kind: kind, wraps: true, retry: newRetry(t, fmt.Sprint(i))})
				}
				calls := 0
				err := linked(w, func(context.Context) error {
					calls++
					return &resilience.RejectedError{Policy: resilience.PolicyBreaker}
				}, links...)(t.Context())
				e, ok := errors.AsType[*resilience.AttemptsError](err)
				if !ok || e.Attempts != 1 || e.Reason != retry.ReasonPushback {
					t.Errorf("err = %v, want one attempt, and to be asked for no more", err)
				}
				if calls != 3 {
					t.Errorf("the last service was called %d times, want 3", calls)
				}
			})
		})
	}
}

// TestShedTwoHopsAway: the real thing, from a server that is full to a caller that
// has never heard of it.
func TestShedTwoHopsAway(t *testing.T) {
	for _, kinds := range [][]string{{"gRPC", "gRPC"}, {"HTTP", "HTTP"}, {"gRPC", "HTTP"}, {"HTTP", "gRPC stream"}} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				full, err := shed.New(internalWord, shed.WithMinLimit(1), shed.WithInitialLimit(1), shed.WithMaxLimit(1), shed.WithoutCPU())
				if err != nil {
					t.Fatal(err)
				}
				lease, err := full.Allow(t.Context(), shed.PriorityNormal)
				if err != nil {
					t.Fatal(err)
				}
				call := linked(w, func(context.Context) error { return nil }, link{kind: kinds[0], wraps: true}, link{kind: kinds[1], shed: full})
				err = call(t.Context())
				e, ok := errors.AsType[*resilience.RejectedError](err)
				if !ok || e.Policy != resilience.PolicyShed || !e.Remote || e.Name != "front" || e.RetryAfter < shed.DefaultRetryAfter || e.RetryAfter > 2*shed.DefaultRetryAfter {
					t.Errorf("err = %v (%+v), want a refusal by shedding", err, e)
				}
				learnsNothing(t, err)
				lease.Release()
				if err := call(t.Context()); err != nil {
					t.Errorf("err = %v when there is room again", err)
				}
				synctest.Wait()
				telemetrytest.Check(t, w.seen.Run(t))
			})
		})
	}
}
