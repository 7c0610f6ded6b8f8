// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/ctxutil"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/drain"
	"github.com/fairlead-go/fairlead/health"
	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// registered runs a service in a registry until it can be found there.
func registered(t *testing.T, svc *fairlead.Service) (stop func() error) {
	t.Helper()
	stop = run(t, svc)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := svc.Registered(ctx); err != nil {
		t.Fatal(err)
	}
	return stop
}

// listed returns what callers in dev can find of a service.
func listed(t *testing.T, w *discovery.Watcher, service string) []*discovery.Instance {
	t.Helper()
	sub, err := w.Subscribe(discovery.Query{Namespace: discovery.DefaultNamespace, Service: service}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if _, err := sub.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(sub.Snapshot().Instances.All())
}

var discard = fairlead.WithLogHandler(slog.DiscardHandler)

// TestRegistered: both servers are found by name, with what options say of them,
// called, and gone when the service has ended.
func TestRegistered(t *testing.T) {
	registry := memory.New()
	svc := mustNew(t, "inventory", fairlead.WithPlaintext(), discard, fairlead.WithVersion("1.2.3"),
		fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithRegistry(registry), fairlead.WithDrainWait(0),
		fairlead.WithInstance(discovery.Instance{Zone: "eu-1a", Weight: 3, Tags: []string{"canary"}, Metadata: map[string]string{"shard": "7"}}))
	testgrpc.RegisterTestServiceServer(svc.GRPC(), &echo{logger: svc.Logger()})
	stop := registered(t, svc)

	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""), fairlead.WithRegistry(registry))
	instances := listed(t, caller.Watcher(), "inventory")
	var got []string
	for _, in := range instances {
		if in.Zone != "eu-1a" || in.Weight != 3 || !in.HasTag("canary") || in.Metadata["shard"] != "7" || in.Version != "1.2.3" {
			t.Errorf("registered as %+v", in)
		}
		got = append(got, in.Metadata["protocol"]+" "+in.Address)
	}
	slices.Sort(got)
	if want := []string{"grpc " + svc.Addr("grpc"), "http " + svc.Addr("http")}; !slices.Equal(got, want) {
		t.Errorf("registered %v, want %v", got, want)
	}
	cc, err := caller.Dial("inventory")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	hc, err := caller.HTTPClient("inventory")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if body := get(t, hc, "http://inventory/livez", http.StatusOK); !strings.Contains(body, "ok") {
			t.Errorf("body %q", body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if left := registry.Instances(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "inventory"}); len(left) != 0 {
		t.Errorf("still registered: %v", left)
	}
	if err := caller.Close(); err != nil {
		t.Error(err)
	}
}

// TestOrderOfTheEnd: not ready, then out of the registry, then serving on, then
// closed.
func TestOrderOfTheEnd(t *testing.T) {
	registry := memory.New()
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithRegistry(registry), fairlead.WithDrainWait(500*time.Millisecond))
	var served atomic.Int64
	svc.HTTP().HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		served.Add(1)
		_, _ = io.WriteString(w, "served")
	})
	stop := registered(t, svc)
	addr := svc.Addr("http")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()

	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	query := discovery.Query{Namespace: discovery.DefaultNamespace, Service: "order"}
	for len(registry.Instances(query)) > 0 {
		time.Sleep(time.Millisecond)
	}
	get(t, client, "http://"+addr+"/readyz", http.StatusServiceUnavailable)
	get(t, client, "http://"+addr+"/livez", http.StatusOK)
	get(t, client, "http://"+addr+"/", http.StatusOK)
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Skipf("the machine stood still for %v", took)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 500*time.Millisecond {
		t.Errorf("it ended after %v, and was to serve for 500ms more", took)
	}
	if _, err := client.Get("http://" + addr + "/"); err == nil {
		t.Error("it serves after its end")
	}
}

// TestDrainOfStreams: a stream that does not end by itself does not keep the
// service from ending; its handler and its caller learn why.
func TestDrainOfStreams(t *testing.T) {
	svc := mustNew(t, "feed", fairlead.WithPlaintext(), discard, fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithDrainTimeout(500*time.Millisecond))
	h := &streams{in: make(chan struct{}, 2), by: make(chan ctxutil.End, 1)}
	testgrpc.RegisterTestServiceServer(svc.GRPC(), h)
	stop := run(t, svc)
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""))
	cc, err := caller.Dial("passthrough:///" + svc.Addr("grpc"))
	if err != nil {
		t.Fatal(err)
	}
	client := testgrpc.NewTestServiceClient(cc)
	polite, err := client.StreamingOutputCall(t.Context(), &testgrpc.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	stubborn, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-h.in
	<-h.in
	began := time.Now()
	if err := stop(); err == nil || !strings.Contains(err.Error(), "1 requests were cut") {
		t.Errorf("Run returned %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
	if _, err := polite.Recv(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a stream that took the notice: %v", err)
	}
	if _, err := stubborn.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("a stream that was cut: %v", err)
	}
	if end := <-h.by; end != ctxutil.EndShutdown {
		t.Errorf("its handler was ended by %v", end)
	}
	if err := caller.Close(); err != nil {
		t.Error(err)
	}
}

type streams struct {
	testgrpc.UnimplementedTestServiceServer
	in chan struct{}
	by chan ctxutil.End
}

func (s *streams) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, ss testgrpc.TestService_StreamingOutputCallServer) error {
	s.in <- struct{}{}
	select {
	case <-drain.Notice(ss.Context()):
		return status.Error(codes.FailedPrecondition, "come back elsewhere")
	case <-ss.Context().Done():
		return ss.Context().Err()
	}
}

func (s *streams) FullDuplexCall(ss testgrpc.TestService_FullDuplexCallServer) error {
	s.in <- struct{}{}
	<-ss.Context().Done()
	s.by <- ctxutil.EndedBy(ss.Context())
	return ss.Context().Err()
}

// TestTimeToLive: one that is not longer than what a request may take is an error of
// New, which says what it is shorter than and what can be done. The default is longer.
func TestTimeToLive(t *testing.T) {
	grpc, web := fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0")
	for _, tc := range []struct {
		name string
		opts []fairlead.Option
		ttl  time.Duration // 0: the default
		want []string      // of the error; none if there is none
	}{
		{"default", []fairlead.Option{grpc, web}, 0, nil},
		{"long requests", []fairlead.Option{grpc, web, fairlead.WithServerTimeout(time.Minute)}, 0, nil},
		{"long bodies", []fairlead.Option{web, fairlead.WithHTTPServer(httpmw.WithReadTimeout(time.Minute), httpmw.WithIdleTimeout(90*time.Second))}, 0, nil},
		{"too long to be guessed", []fairlead.Option{grpc, fairlead.WithServerTimeout(time.Hour)}, 0, []string{"TTL 2m0s: must be more than 1h0m0s", "raise it with WithTTL"}},
		{"as long as it is said", []fairlead.Option{grpc, fairlead.WithServerTimeout(time.Hour)}, 2 * time.Hour, nil},
		{"both", []fairlead.Option{grpc, web}, 15 * time.Second, []string{
			"registering grpc: ", "TTL 15s: must be more than 20s, the server's time limit of requests (WithServerTimeout)", "raise it with WithTTL, or lower",
			"registering http: ", "TTL 15s: must be more than 22s, the server's write timeout", "TTL 15s: must be more than 25s, the server's idle timeout"}},
		{"gRPC", []fairlead.Option{grpc}, 20 * time.Second, []string{"registering grpc: ", "TTL 20s: must be more than 20s"}},
		{"gRPC fits", []fairlead.Option{grpc}, 21 * time.Second, nil},
		{"HTTP", []fairlead.Option{web}, 25 * time.Second, []string{"registering http: ", "25s, the server's idle timeout"}},
		{"HTTP fits", []fairlead.Option{web}, 26 * time.Second, nil},
		{"overridden", []fairlead.Option{web, fairlead.WithHTTPServer(httpmw.WithWriteTimeout(40 * time.Second))}, 30 * time.Second, []string{"more than 40s, the server's write timeout"}},
		{"not registered", []fairlead.Option{web, fairlead.WithoutRegistration()}, 2 * time.Second, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			opts := append([]fairlead.Option{fairlead.WithPlaintext(), discard, fairlead.WithRegistry(memory.New())}, tc.opts...)
			if tc.ttl > 0 {
				opts = append(opts, fairlead.WithRegistration(discovery.WithTTL(tc.ttl)))
			}
			svc, err := fairlead.New("order", opts...)
			if err == nil {
				if err := svc.Close(); err != nil {
					t.Error(err)
				}
			}
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("New: %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New: %v, want %q in it", err, want)
				}
			}
		})
	}
}

// TestUnready: what is not ready is not found, and is as soon as it is ready.
func TestUnready(t *testing.T) {
	registry := memory.New()
	var down atomic.Bool
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"),
		fairlead.WithRegistry(registry), fairlead.WithDrainWait(0),
		fairlead.WithCheck("db", func(context.Context) error {
			if down.Load() {
				return errors.New("down")
			}
			return nil
		}, health.WithInterval(10*time.Millisecond)))
	stop := registered(t, svc)
	watcher, err := discovery.NewWatcher(registry, discovery.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	sub, err := watcher.Subscribe(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "order"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	state := func() string {
		for _, in := range registry.Instances(sub.Snapshot().Query) {
			return in.Health.String()
		}
		return "gone"
	}
	wait := func(want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); state() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s, want %s", state(), want)
			}
		}
	}
	wait("passing")
	down.Store(true)
	wait("failing")
	down.Store(false)
	wait("passing")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestRegisteredTLS: servers prove the name of their service, wherever they are, over
// both protocols; one with a certificate for another name is not called.
func TestRegisteredTLS(t *testing.T) {
	registry := memory.New()
	roots := x509.NewCertPool()
	serve := func(name, certified string) {
		cert := certificate(t, certified)
		roots.AddCert(cert.Leaf)
		svc := mustNew(t, name, discard, fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}, nil),
			fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
			fairlead.WithRegistry(registry), fairlead.WithDrainWait(0))
		testgrpc.RegisterTestServiceServer(svc.GRPC(), &echo{logger: svc.Logger()})
		stop := registered(t, svc)
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
	serve("inventory", "inventory")
	serve("impostor", "somebody")

	own := certificate(t, "caller")
	caller := mustNew(t, "caller", discard, fairlead.WithAdmin(""), fairlead.WithRegistry(registry),
		fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{own}}, &tls.Config{RootCAs: roots}),
		fairlead.WithPolicies(policies.WithDefaults(policies.NoRetry())))
	defer caller.Close()
	call := func(name string) (overGRPC, overHTTP error) {
		cc, err := caller.Dial(name)
		if err != nil {
			t.Fatal(err)
		}
		hc, err := caller.HTTPClient(name)
		if err != nil {
			t.Fatal(err)
		}
		_, overGRPC = testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{})
		resp, overHTTP := hc.Get("https://" + name + "/livez")
		if overHTTP == nil {
			_ = resp.Body.Close()
		}
		return overGRPC, overHTTP
	}
	if overGRPC, overHTTP := call("inventory"); overGRPC != nil || overHTTP != nil {
		t.Errorf("%v, %v", overGRPC, overHTTP)
	}
	overGRPC, overHTTP := call("impostor")
	for _, err := range []error{overGRPC, overHTTP} {
		if err == nil || !strings.Contains(err.Error(), "certificate is valid for somebody, not impostor") {
			t.Errorf("calling an impostor: %v", err)
		}
	}
}

// certificate returns one for a name, signed by itself.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
