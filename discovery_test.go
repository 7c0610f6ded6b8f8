// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/discovery/static"
)

func TestDiscoveryRefuses(t *testing.T) {
	fixed, err := static.New(discovery.Instance{Namespace: "dev", Service: "order", Address: "10.0.0.1:80"})
	if err != nil {
		t.Fatal(err)
	}
	registry, serves := fairlead.WithRegistry(memory.New()), fairlead.WithHTTP("127.0.0.1:0")
	for _, tc := range []struct {
		name string
		opts []fairlead.Option
		env  string
		want string
	}{
		{"no registry", []fairlead.Option{fairlead.WithRegistry(nil)}, "", "WithRegistry: nil registry"},
		{"registry of an error", []fairlead.Option{fairlead.WithRegistry((*memory.Registry)(nil))}, "", "WithRegistry: nil registry"},
		{"metadata", []fairlead.Option{registry, serves, fairlead.WithPlaintext(), fairlead.WithInstance(discovery.Instance{Metadata: map[string]string{"": "x"}})}, "", "registering http: discovery: "},
		{"zone", []fairlead.Option{registry, serves, fairlead.WithPlaintext(), fairlead.WithInstance(discovery.Instance{Zone: "a b"})}, "", "registering http: discovery: "},
		{"damping", []fairlead.Option{registry, serves, fairlead.WithPlaintext(), fairlead.WithRegistration(discovery.WithDamping(0, 1))}, "", "fail after 0"},
		{"namespace", []fairlead.Option{registry, fairlead.WithNamespace("Prod")}, "", `WithNamespace: `},
		{"namespace of the environment", []fairlead.Option{registry}, "deployment.environment.name=../prod", "OTEL_RESOURCE_ATTRIBUTES"},
		{"host", []fairlead.Option{registry, fairlead.WithAdvertise("a b")}, "", `WithAdvertise: "a b" is no host`},
		{"host with port", []fairlead.Option{registry, fairlead.WithAdvertise("order:80")}, "", `WithAdvertise: "order:80" is no host`},
		{"options without a registry", []fairlead.Option{fairlead.WithRegistration(discovery.WithTTL(time.Minute))}, "", "need WithRegistry"},
		{"patrol without a registry", []fairlead.Option{fairlead.WithPatrol()}, "", "need WithRegistry"},
		{"patrol of a list", []fairlead.Option{fairlead.WithRegistry(fixed), fairlead.WithPatrol()}, "", "cannot be asked how they are"},
		{"balancing", []fairlead.Option{registry, fairlead.WithBalancing(balancer.WithSlowStart(-1, 2))}, "", "WithBalancing: balancer: "},
		{"balancing without a registry", []fairlead.Option{fairlead.WithBalancing(balancer.WithPolicy(balancer.Random))}, "", "need WithRegistry"},
		{"drain wait", []fairlead.Option{fairlead.WithDrainWait(-1)}, "", "WithDrainWait: -1ns is negative"},
		{"watcher", []fairlead.Option{registry, fairlead.WithDiscovery(discovery.WithMaxStale(-1))}, "", "max stale"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", tc.env)
			svc, err := fairlead.New("order", append(tc.opts, fairlead.WithAdmin(""))...)
			if err == nil {
				_ = svc.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

// TestNameThatCannotBeRegistered: what is a name for logs and metrics need not be one
// for a registry, which is found out before anything serves.
func TestNameThatCannotBeRegistered(t *testing.T) {
	opts := []fairlead.Option{fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin("")}
	svc := mustNew(t, "-order", opts...)
	if err := svc.Close(); err != nil {
		t.Error(err)
	}
	_, err := fairlead.New("-order", append(opts, fairlead.WithRegistry(memory.New()))...)
	if err == nil || !strings.Contains(err.Error(), `registering http: discovery: service "-order": must be of letters`) {
		t.Errorf("New: %v", err)
	}
}

// TestInstanceFromEnvironment: environment and zone are OpenTelemetry's; what is
// listened on everywhere is registered under an address that others reach.
func TestInstanceFromEnvironment(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging,cloud.availability_zone=eu-1b")
	registry := memory.New()
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("0.0.0.0:0"), fairlead.WithAdmin(""),
		fairlead.WithRegistry(registry), fairlead.WithDrainWait(0), fairlead.WithAdvertise("order-7.internal"))
	stop := registered(t, svc)
	all := registry.Instances(discovery.Query{Namespace: "staging", Service: "order"})
	_, port, _ := net.SplitHostPort(svc.Addr("http"))
	if len(all) != 1 || all[0].Zone != "eu-1b" || all[0].Address != "order-7.internal:"+port {
		t.Errorf("registered: %+v", all)
	}
	if got, want := fmt.Sprint(svc.Settings()), "[namespace = staging (OTEL_RESOURCE_ATTRIBUTES deployment.environment.name) zone = eu-1b (OTEL_RESOURCE_ATTRIBUTES cloud.availability_zone)]"; got != want {
		t.Errorf("settings %s, want %s", got, want)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestForeignRegistration: a service of one environment is not registered in another,
// and sees nothing of it.
func TestForeignRegistration(t *testing.T) {
	registry := memory.New()
	for _, ns := range []discovery.Namespace{"prod", "prod2"} {
		svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
			fairlead.WithRegistry(registry), fairlead.WithNamespace(ns), fairlead.WithDrainWait(0))
		stop := registered(t, svc)
		defer func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}()
		cc, err := svc.Dial("registry:///order?ns=prod")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err = cc.Invoke(ctx, "/x/Y", nil, nil)
		if foreign := err != nil && strings.Contains(err.Error(), discovery.ErrForeignNamespace.Error()); foreign != (ns != "prod") {
			t.Errorf("a call from %s to prod: %v", ns, err)
		}
	}
	for _, ns := range []discovery.Namespace{"prod", "prod2"} {
		if n := len(registry.Instances(discovery.Query{Namespace: ns, Service: "order"})); n != 1 {
			t.Errorf("%d instances in %s", n, ns)
		}
	}
}

// TestRegistryInHealth: how the registry and its servers are is shown, and keeps
// nobody from being ready.
func TestRegistryInHealth(t *testing.T) {
	registry := memory.New()
	svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
		fairlead.WithRegistry(registry), fairlead.WithPatrol(), fairlead.WithDrainWait(0))
	stop := registered(t, svc)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var body string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		body = get(t, client, "http://"+svc.Addr("http")+"/readyz", http.StatusOK)
		if strings.Contains(body, `"registry":"ok"`) && strings.Contains(body, `"registry-servers":"ok"`) {
			break
		}
	}
	if !strings.Contains(body, `"registry":"ok"`) || !strings.Contains(body, `"registry-servers":"ok"`) {
		t.Errorf("/readyz: %s", body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestWatchOnly: a catalog that nobody can register in is watched, and so is a
// registry without registration.
func TestWatchOnly(t *testing.T) {
	registry := memory.New()
	svc := mustNew(t, "gateway", fairlead.WithPlaintext(), discard, fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithAdmin(""),
		fairlead.WithRegistry(registry), fairlead.WithoutRegistration(), fairlead.WithDrainWait(0))
	stop := registered(t, svc)
	if n := len(registry.Instances(discovery.Query{Namespace: discovery.DefaultNamespace, Service: "gateway"})); n != 0 {
		t.Errorf("%d instances registered", n)
	}
	if svc.Watcher() == nil {
		t.Error("no watcher")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestBalancing: the same options hold over gRPC and HTTP; here, turns are taken.
func TestBalancing(t *testing.T) {
	registry := memory.New()
	var stops []func() error
	addrs := map[string]bool{}
	for range 2 {
		svc := mustNew(t, "order", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""), fairlead.WithHTTP("127.0.0.1:0"),
			fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithDrainWait(0))
		svc.HTTP().HandleFunc("GET /who", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, svc.Addr("http")) })
		testgrpc.RegisterTestServiceServer(svc.GRPC(), &echo{logger: svc.Logger()})
		stops = append(stops, registered(t, svc))
		addrs[svc.Addr("http")], addrs[svc.Addr("grpc")] = true, true
	}
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""), fairlead.WithRegistry(registry),
		fairlead.WithBalancing(balancer.WithPolicy(balancer.RoundRobin)))
	hc, err := caller.HTTPClient("order")
	if err != nil {
		t.Fatal(err)
	}
	cc, err := caller.Dial("order")
	if err != nil {
		t.Fatal(err)
	}
	turns := map[string]int{}
	for range 20 {
		turns[get(t, hc, "http://order/who", http.StatusOK)]++
	}
	client := testgrpc.NewTestServiceClient(cc)
	if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	// Both are connected when both have answered.
	for where := map[string]bool{}; len(where) < 2; {
		var p peer.Peer
		if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Peer(&p)); err != nil {
			t.Fatal(err)
		}
		where[p.Addr.String()] = true
	}
	for range 20 {
		var p peer.Peer
		if _, err := client.UnaryCall(t.Context(), &testgrpc.SimpleRequest{}, grpc.Peer(&p)); err != nil {
			t.Fatal(err)
		}
		turns[p.Addr.String()]++
	}
	for addr := range addrs {
		if n := turns[addr]; n < 9 || n > 11 {
			t.Errorf("%d of 20 calls went to %s: %v", turns[addr], addr, turns)
		}
	}
	if err := errors.Join(caller.Close(), stops[0](), stops[1]()); err != nil {
		t.Error(err)
	}
}

// TestSeen: what discovery does is in the spans, the metrics and the log of those who
// depend on it.
func TestSeen(t *testing.T) {
	registry, tel, logs := memory.New(), newSDK(), &syncBuffer{}
	svc := mustNew(t, "inventory", fairlead.WithPlaintext(), discard, fairlead.WithAdmin(""),
		fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithGRPC("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithDrainWait(0))
	testgrpc.RegisterTestServiceServer(svc.GRPC(), &echo{logger: svc.Logger()})
	stop := registered(t, svc)
	caller := mustNew(t, "caller", fairlead.WithPlaintext(), fairlead.WithAdmin(""), fairlead.WithRegistry(registry),
		fairlead.WithTelemetry(tel.start), fairlead.WithLogHandler(slog.NewJSONHandler(logs, nil)))
	hc, err := caller.HTTPClient("inventory")
	if err != nil {
		t.Fatal(err)
	}
	get(t, hc, "http://inventory/livez", http.StatusOK)
	cc, err := caller.Dial("inventory")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testgrpc.NewTestServiceClient(cc).UnaryCall(t.Context(), &testgrpc.SimpleRequest{}); err != nil {
		t.Fatal(err)
	}
	peers := map[string]int{}
	for _, span := range tel.spans.Ended() {
		var host, port string
		for _, kv := range span.Attributes() {
			switch kv.Key {
			case "network.peer.address":
				host = kv.Value.Emit()
			case "network.peer.port":
				port = kv.Value.Emit()
			}
		}
		peers[net.JoinHostPort(host, port)]++
	}
	for _, protocol := range []string{"http", "grpc"} {
		if peers[svc.Addr(protocol)] == 0 {
			t.Errorf("no span says that it went to %s at %s: %v", protocol, svc.Addr(protocol), peers)
		}
	}
	registry.Faults().Down(true)
	text := func() string {
		families, err := caller.MetricsRegistry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(families)
	}
	for _, want := range []string{
		`name:"fairlead_discovery_instances"`, `name:"fairlead_balancer_picks_total"`,
	} {
		if !strings.Contains(text(), want) {
			t.Errorf("no metric %s", want)
		}
	}
	for end := time.Now().Add(10 * time.Second); !strings.Contains(logs.String(), "registry does not answer"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no line says that the registry is away: %s", logs.String())
		}
	}
	if want := `name:"fairlead_discovery_watch_failures_total"`; !strings.Contains(text(), want) {
		t.Errorf("no metric %s", want)
	}
	registry.Faults().Down(false)
	if err := errors.Join(stop(), caller.Close()); err != nil {
		t.Error(err)
	}
	families, err := svc.MetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`name:"fairlead_registration_state"`, `name:"fairlead_health_status"`} {
		if !strings.Contains(fmt.Sprint(families), want) {
			t.Errorf("no metric %s", want)
		}
	}
}

func ExampleWithRegistry() {
	registry := memory.New() // or consul.FromEnv, etcd.FromEnv
	inventory, err := fairlead.New("inventory", fairlead.WithPlaintext(), fairlead.WithLogHandler(slog.DiscardHandler),
		fairlead.WithHTTP("127.0.0.1:0"), fairlead.WithRegistry(registry), fairlead.WithoutSignals(), fairlead.WithDrainWait(0))
	if err != nil {
		log.Fatal(err)
	}
	inventory.HTTP().HandleFunc("GET /stock/{sku}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s: 7 left", r.PathValue("sku"))
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- inventory.Run(ctx) }()
	fmt.Println("registered:", inventory.Registered(ctx))

	order, err := fairlead.New("order", fairlead.WithPlaintext(), fairlead.WithLogHandler(slog.DiscardHandler),
		fairlead.WithAdmin(""), fairlead.WithRegistry(registry))
	if err != nil {
		log.Fatal(err)
	}
	client, err := order.HTTPClient("inventory")
	if err != nil {
		log.Fatal(err)
	}
	resp, err := client.Get("http://inventory/stock/anchor")
	if err != nil {
		log.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	fmt.Println(string(text))

	_ = order.Close()
	stop()
	fmt.Println("ended:", <-ended)
	// Output:
	// registered: <nil>
	// anchor: 7 left
	// ended: <nil>
}
