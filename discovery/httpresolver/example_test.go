// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/balancer"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
	"github.com/fairlead-go/fairlead/discovery/memory"
)

// Example calls a service by its name. With package httpmw, Transport is the last of a
// client's transports.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s of %s", r.URL.Path, r.Host)
	}))
	defer server.Close()
	registry := memory.New()
	r, err := registry.Registration(discovery.Instance{Namespace: "dev", Service: "order", Address: server.Listener.Addr().String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := r.Register(context.Background(), time.Minute, discovery.HealthPassing); err != nil {
		fmt.Println(err)
		return
	}

	watcher, err := discovery.NewWatcher(registry, "dev")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watcher.Close()
	orders, err := httpresolver.New("order", watcher, httpresolver.WithBalancer(balancer.WithZone("eu-1a")))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	client := &http.Client{Transport: orders.Transport(&http.Transport{}), Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()

	resp, err := client.Get("http://order/v1/orders/7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output:
	// /v1/orders/7 of order <nil>
}

// ExampleNew_noInstances: a request fails at once, and says why.
func ExampleNew_noInstances() {
	watcher, err := discovery.NewWatcher(memory.New(), "dev")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer watcher.Close()
	orders, err := httpresolver.New("order", watcher)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer orders.Close()
	client := &http.Client{Transport: orders.Transport(&http.Transport{}), Timeout: 10 * time.Second}

	_, err = client.Get("http://order/")
	fmt.Println(errors.Is(err, discovery.ErrNoInstances), err)
	_, err = client.Get("https://order/")
	fmt.Println(errors.Is(err, httpresolver.ErrServerName), err)
	// Output:
	// true Get "http://order/": httpresolver: discovery: no instances of dev/order: the registry was asked and has none that passes its checks
	// true Get "https://order/": httpresolver: https without the service's name: use Resolver.TLSConfig
}

// ExampleObserver says which instance a request goes to.
func ExampleObserver() {
	registry := memory.New()
	r, _ := registry.Registration(discovery.Instance{Namespace: "dev", Service: "order", Address: "10.0.0.7:8443"})
	_, _ = r.Register(context.Background(), time.Minute, discovery.HealthPassing)
	watcher, _ := discovery.NewWatcher(registry, "dev")
	defer watcher.Close()
	orders, _ := httpresolver.New("order", watcher, httpresolver.WithObserver(httpresolver.Observer{
		Picked: func(_ context.Context, p httpresolver.Picked) { fmt.Println("to", p.Instance.ID) },
	}))
	defer orders.Close()

	pool := below(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(req.URL.Host))}, nil
	})
	resp, err := (&http.Client{Transport: orders.Transport(pool)}).Get("http://order/")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println("at", string(body))
	// Output:
	// to order@10.0.0.7:8443
	// at 10.0.0.7:8443
}

// below is whatever sends requests.
type below func(*http.Request) (*http.Response, error)

func (f below) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
