// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
)

// TestWhatIsSent: the instance's address in the URL, the service in the Host header, and
// the caller's request as it was.
func TestWhatIsSent(t *testing.T) {
	w := newWorld(t)
	w.put(order(1))
	var below wire
	rt := w.resolver().Transport(&below)
	for _, tc := range []struct {
		name, url, host   string
		wantURL, wantHost string
	}{
		{"a service", "http://order/v1/x?y=1", "", "http://10.0.0.1:8443/v1/x?y=1", "order"},
		{"in other letters", "http://Order/", "", "http://10.0.0.1:8443/", "Order"},
		{"with its own host", "http://order/", "shop.example", "http://10.0.0.1:8443/", "shop.example"},
		{"with a password", "http://u:p@order/a%2Fb", "", "http://u:p@10.0.0.1:8443/a%2Fb", "order"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := get(t.Context(), tc.url)
			req.Host = tc.host
			resp := must[*http.Response](t)(rt.RoundTrip(req))
			defer resp.Body.Close()
			sent := below.sent[len(below.sent)-1]
			if sent.URL.String() != tc.wantURL || sent.Host != tc.wantHost {
				t.Errorf("sent to %s with host %q, want %s with %q", sent.URL, sent.Host, tc.wantURL, tc.wantHost)
			}
			if resp.Request != req || req.URL.String() != tc.url || req.Host != tc.host {
				t.Errorf("the caller's request is %s with host %q now", req.URL, req.Host)
			}
		})
	}
}

// TestOthersPassThrough, untouched.
func TestOthersPassThrough(t *testing.T) {
	w := newWorld(t)
	var below wire
	rt := w.resolver().Transport(&below)
	for _, url := range []string{"http://payment/", "https://order.example/", "http://order2/", "http://127.0.0.1:80/", "ftp://order/", "http:///x"} {
		req := get(t.Context(), url)
		resp := must[*http.Response](t)(rt.RoundTrip(req))
		resp.Body.Close()
		if below.sent[len(below.sent)-1] != req {
			t.Errorf("%s: another request was sent", url)
		}
	}
}

type closing struct {
	io.Reader
	closed int
}

func (c *closing) Close() error { c.closed++; return nil }

// TestRefused: what makes no sense is not sent, and the request's body is closed.
func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name, url string
		prepare   func(*httpresolver.Resolver)
		want      error
		says      string
	}{
		{"a port", "http://order:8443/", nil, httpresolver.ErrPort, `httpresolver: a service has no port, and each of its instances has one: "order:8443"`},
		{"https", "https://order/", nil, httpresolver.ErrServerName, "use Resolver.TLSConfig"},
		{"closed", "http://order/", (*httpresolver.Resolver).Close, discovery.ErrClosed, "prod/order"},
		{"no instance", "http://order/", nil, discovery.ErrNoInstances, "httpresolver: discovery: no instances of prod/order: the registry was asked"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			var below wire
			var told []error
			r := w.resolver(httpresolver.WithObserver(httpresolver.Observer{
				Unpicked: func(_ context.Context, u httpresolver.Unpicked) { told = append(told, u.Err) },
			}))
			if tc.prepare != nil {
				tc.prepare(r)
			}
			body := &closing{Reader: strings.NewReader("x")}
			req := get(t.Context(), tc.url)
			req.Body = body
			_, err := r.Transport(&below).RoundTrip(req)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || len(below.sent) > 0 || body.closed != 1 {
				t.Errorf("error %v, %d sent, body closed %d times", err, len(below.sent), body.closed)
			}
			if want := errors.Is(tc.want, discovery.ErrNoInstances); (len(told) == 1) != want {
				t.Errorf("told of %v", told)
			}
		})
	}
}

func TestFilter(t *testing.T) {
	w := newWorld(t)
	canary := order(2)
	canary.Tags = []string{"canary"}
	w.put(order(1), canary)
	var below wire
	rt := w.resolver(httpresolver.WithFilter(func(in *discovery.Instance) bool { return in.HasTag("canary") })).Transport(&below)
	for range 20 {
		must[*http.Response](t)(rt.RoundTrip(get(t.Context(), "http://order/"))).Body.Close()
	}
	for _, sent := range below.sent {
		if sent.URL.Host != canary.Address {
			t.Fatalf("sent to %s", sent.URL.Host)
		}
	}
	_, err := w.resolver(httpresolver.WithFilter(func(*discovery.Instance) bool { return false })).Transport(&below).RoundTrip(get(t.Context(), "http://order/"))
	if !errors.Is(err, discovery.ErrNoInstances) || err.Error() != "httpresolver: discovery: no instances of prod/order pass the filter: there are 2 that do not" {
		t.Errorf("error %v", err)
	}
}

// TestWithoutConnection: nothing was sent, so another instance is tried, as long as there
// is one and the body can be made again; and what cannot be reached is out of picks.
func TestWithoutConnection(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for _, tc := range []struct {
		name      string
		instances int
		down      func(try int) bool
		body      string // "", "again" or "once"
		silent    bool   // the transport does not tell of connections
		tries     int
		fails     bool
	}{
		{name: "all well", instances: 3, down: func(int) bool { return false }, tries: 1},
		{name: "one down", instances: 3, down: func(try int) bool { return try == 1 }, tries: 2},
		{name: "one down, with a body", instances: 3, down: func(try int) bool { return try == 1 }, body: "again", tries: 2},
		{name: "one down, with a stream", instances: 3, down: func(try int) bool { return try == 1 }, body: "once", tries: 1, fails: true},
		{name: "one down, by its error", instances: 3, down: func(try int) bool { return try == 1 }, silent: true, tries: 2},
		{name: "all down", instances: 3, down: func(int) bool { return true }, body: "again", tries: 3, fails: true},
		{name: "the only one", instances: 1, down: func(int) bool { return true }, tries: 1, fails: true},
		{name: "more than it tries", instances: 20, down: func(int) bool { return true }, tries: httpresolver.MaxTries, fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			for n := range tc.instances {
				w.put(order(n + 1))
			}
			var got []string
			below := &wire{}
			below.do = func(req *http.Request) (*http.Response, error) {
				down := tc.down(len(below.sent))
				if !tc.silent {
					stage(req, !down)
				}
				if down {
					if req.Body != nil {
						req.Body.Close() // as every transport does
					}
					return nil, refused
				}
				if req.Body != nil {
					got = append(got, string(must[[]byte](t)(io.ReadAll(req.Body))))
				}
				return answer(req, 200), nil
			}
			var picked []int
			r := w.resolver(httpresolver.WithObserver(httpresolver.Observer{
				Picked: func(_ context.Context, p httpresolver.Picked) { picked = append(picked, p.Try) },
			}))
			var body io.Reader
			switch tc.body {
			case "again":
				body = strings.NewReader("hello")
			case "once":
				body = io.MultiReader(strings.NewReader("hello"))
			}
			req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://order/", body))
			resp, err := r.Transport(below).RoundTrip(req)
			if tc.fails && !errors.Is(err, refused) || !tc.fails && err != nil {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				resp.Body.Close()
			}
			hosts := map[string]bool{}
			for i, sent := range below.sent {
				hosts[sent.URL.Host] = true
				if picked[i] != i+1 {
					t.Errorf("told of tries %v", picked)
				}
			}
			if len(below.sent) != tc.tries || len(hosts) != tc.tries {
				t.Errorf("%d tries at %d instances, want %d", len(below.sent), len(hosts), tc.tries)
			}
			if tc.body == "again" && !tc.fails && !cmp.Equal(got, []string{"hello"}) {
				t.Errorf("bodies %q", got)
			}
			down := tc.tries
			if !tc.fails {
				down--
			}
			if st := r.Balancer().Stats(); st.Unreachable != down || st.InFlight != 0 {
				t.Errorf("%d unreachable and %d in flight, want %d and 0", st.Unreachable, st.InFlight, down)
			}
		})
	}
}

// verdict is what the balancer makes of one request.
type verdict struct{ failed, unreachable, aside bool }

// TestVerdicts: what counts against an instance. Ejection and setting aside are set to
// happen at once.
func TestVerdicts(t *testing.T) {
	broken := errors.New("connection reset")
	fails := func(err error, connected bool) func(*http.Request) (*http.Response, error) {
		return func(req *http.Request) (*http.Response, error) {
			stage(req, connected)
			return nil, err
		}
	}
	answers := func(code int, header ...string) func(*http.Request) (*http.Response, error) {
		return func(req *http.Request) (*http.Response, error) {
			resp := answer(req, code)
			for i := 0; i < len(header); i += 2 {
				resp.Header.Set(header[i], header[i+1])
			}
			return resp, nil
		}
	}
	waits := func(req *http.Request) (*http.Response, error) {
		stage(req, true)
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name    string
		ctx     context.Context
		timeout time.Duration // of the caller
		do      func(*http.Request) (*http.Response, error)
		opts    []httpresolver.Option
		want    verdict
		why     string
	}{
		{name: "200", do: answers(200)},
		{name: "404", do: answers(404), why: "it found fault with the request"},
		{name: "500", do: answers(500), want: verdict{failed: true}},
		{name: "501", do: answers(501), why: "it is about what was asked"},
		{name: "502", do: answers(502), want: verdict{failed: true}},
		{name: "503", do: answers(503), want: verdict{failed: true}, why: "it does not say that it will be better"},
		{name: "503 for now", do: answers(503, "Retry-After", "30"), want: verdict{aside: true}},
		{name: "429", do: answers(429, "Retry-After", "30"), want: verdict{aside: true}},
		{name: "429 without more", do: answers(429), why: "for how long?"},
		{name: "504", do: answers(504), want: verdict{failed: true}},
		{name: "a classifier that knows better", do: answers(404), want: verdict{failed: true},
			opts: []httpresolver.Option{httpresolver.WithClassifier(func(*http.Response) balancer.Result { return balancer.Failed })}},
		{name: "the connection broke", do: fails(broken, true), want: verdict{failed: true}},
		{name: "there was none", do: fails(broken, false), want: verdict{unreachable: true}},
		{name: "nobody says", do: func(*http.Request) (*http.Response, error) { return nil, broken }, want: verdict{failed: true}},
		{name: "the caller canceled", ctx: canceled, do: fails(context.Canceled, true)},
		{name: "the caller canceled while it connected", ctx: canceled, do: fails(context.Canceled, false)},
		{name: "an impatient caller", timeout: 5 * time.Millisecond, do: waits},
		{name: "a patient caller", timeout: 5 * time.Millisecond, do: waits, want: verdict{failed: true},
			opts: []httpresolver.Option{httpresolver.WithPatience(time.Millisecond)}},
		{name: "a patient caller, at connecting", timeout: 5 * time.Millisecond, want: verdict{failed: true}, why: "or it waited for the pool",
			do: func(req *http.Request) (*http.Response, error) {
				stage(req, false)
				<-req.Context().Done()
				return nil, req.Context().Err()
			},
			opts: []httpresolver.Option{httpresolver.WithPatience(time.Millisecond)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(order(1), order(2))
			var got verdict
			observer := balancer.Observer{
				Ejected:     func(balancer.Ejection) { got.failed = true },
				Unreachable: func(balancer.Unreached) { got.unreachable = true },
			}
			r := w.resolver(append(tc.opts, httpresolver.WithBalancer(balancer.WithEjectAfter(1), balancer.WithMaxEjected(1), balancer.WithObserver(observer)))...)
			for range 6 { // an instance is set aside after three in a row
				ctx := tc.ctx
				if ctx == nil {
					ctx = t.Context()
				}
				if tc.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.timeout)
					defer cancel()
				}
				if resp, err := r.Transport(&wire{do: tc.do}).RoundTrip(get(ctx, "http://order/")); err == nil {
					resp.Body.Close()
				}
			}
			got.aside = r.Balancer().Stats().WentAside > 0
			if got != tc.want {
				t.Errorf("%+v, want %+v: %s", got, tc.want, tc.why)
			}
			if n := inFlight(r); n != 0 {
				t.Errorf("%d in flight", n)
			}
		})
	}
}

// TestInFlight: a call is in flight until its body is over, however that comes.
func TestInFlight(t *testing.T) {
	broken := errors.New("connection reset")
	for _, tc := range []struct {
		name  string
		body  io.ReadCloser
		after bool // in flight when there is a response
		end   func(io.ReadCloser)
	}{
		{"no body", http.NoBody, false, func(io.ReadCloser) {}},
		{"nil", nil, false, func(io.ReadCloser) {}},
		{"read to its end", io.NopCloser(strings.NewReader("x")), true, func(b io.ReadCloser) { _, _ = io.ReadAll(b) }},
		{"closed", io.NopCloser(strings.NewReader("x")), true, func(b io.ReadCloser) { b.Close() }},
		{"both, and twice", io.NopCloser(strings.NewReader("x")), true, func(b io.ReadCloser) { _, _ = io.ReadAll(b); b.Close(); b.Close(); _, _ = b.Read(nil) }},
		{"broken", io.NopCloser(io.MultiReader(strings.NewReader("x"), failing{broken})), true, func(b io.ReadCloser) { _, _ = io.ReadAll(b) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(order(1))
			r := w.resolver()
			resp := must[*http.Response](t)(r.Transport(&wire{do: func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: tc.body, Request: req}, nil
			}}).RoundTrip(get(t.Context(), "http://order/")))
			if got := inFlight(r) == 1; got != tc.after {
				t.Errorf("in flight %v, want %v", got, tc.after)
			}
			tc.end(resp.Body)
			if n := inFlight(r); n != 0 {
				t.Errorf("%d in flight in the end", n)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestUpgrade: the body of a connection that switched protocols can be written to.
func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	w.put(order(1))
	r := w.resolver()
	var written bytes.Buffer
	resp := must[*http.Response](t)(r.Transport(&wire{do: func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusSwitchingProtocols, Request: req, Body: struct {
			io.Reader
			io.Writer
			io.Closer
		}{strings.NewReader("x"), &written, io.NopCloser(nil)}}, nil
	}}).RoundTrip(get(t.Context(), "http://order/")))
	if _, err := resp.Body.(io.Writer).Write([]byte("hello")); err != nil || written.String() != "hello" {
		t.Errorf("written %q, error %v", written.String(), err)
	}
	if inFlight(r) != 1 {
		t.Error("not in flight while it is open")
	}
	resp.Body.Close()
	if inFlight(r) != 0 {
		t.Error("in flight in the end")
	}
}

// TestPanic below goes through, and leaves nothing in flight.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	w.put(order(1))
	r := w.resolver()
	func() {
		defer func() {
			if v := recover(); v != "below" {
				t.Errorf("recovered %v", v)
			}
		}()
		_, _ = r.Transport(&wire{do: func(*http.Request) (*http.Response, error) { panic("below") }}).RoundTrip(get(t.Context(), "http://order/"))
	}()
	if n := inFlight(r); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestCloseIdleConnections(t *testing.T) {
	w := newWorld(t)
	var below idle
	client := http.Client{Transport: w.resolver().Transport(&below)}
	client.CloseIdleConnections()
	if below.closed != 1 {
		t.Error("the pool was not told")
	}
}

type idle struct {
	wire
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestNewRefuses(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name    string
		service string
		watcher *discovery.Watcher
		opts    []httpresolver.Option
		want    []string
	}{
		{"no service", "", w.watcher, nil, []string{`service "": must not be empty`}},
		{"no watcher", "order", nil, nil, []string{"httpresolver: watcher nil: must be one"}},
		{"everything", "order", nil, []httpresolver.Option{
			httpresolver.WithWait(-1), httpresolver.WithPatience(-1), httpresolver.WithServerName(""), httpresolver.WithClassifier(nil),
			httpresolver.WithBalancer(balancer.WithDecay(0)),
		}, []string{"wait -1ns: must not be negative", "patience -1ns", `server name ""`, "classifier nil", "watcher nil", "balancer: decay 0s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := httpresolver.New(tc.service, tc.watcher, tc.opts...)
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
		})
	}
}
