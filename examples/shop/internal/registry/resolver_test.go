// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/fairlead-go/fairlead/examples/shop/internal/registry"
)

func TestResolver(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(lis) })
	defer serving.Wait()
	defer srv.Stop()

	services := registry.New()
	conn, err := grpc.NewClient(registry.Target("order"),
		grpc.WithResolvers(registry.Resolver(services)), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err == nil {
		t.Error("a call to an unknown service succeeded")
	}
	services.Set("order", registry.Addresses{GRPC: lis.Addr().String()})
	_, err = client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Errorf("a call to a service that came up later: %v", err)
	}
}

func TestDialer(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	services := registry.New()
	services.Set("payment", registry.Addresses{HTTP: srv.Listener.Addr().String()})
	transport := &http.Transport{DialContext: registry.Dialer(services)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	resp, err := client.Get("http://payment/charges")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("Get = %v, %v; want the server's 404", resp, err)
	}
	if resp, err := client.Get("http://paiment/charges"); err == nil {
		t.Errorf("an unknown service answered %v", resp.Status)
	}
}
