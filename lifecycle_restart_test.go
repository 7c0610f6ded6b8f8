// SPDX-License-Identifier: Apache-2.0

package fairlead_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead"
	"github.com/fairlead-go/fairlead/discovery/memory"
	"github.com/fairlead-go/fairlead/resilience/policies"
)

// TestPostsThroughRestarts: requests that must not be repeated, with bodies, on
// connections that are reused, to instances that are replaced all the time. None
// fails.
func TestPostsThroughRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("5,000 calls in real time")
	}
	cert := certificate(t, "order")
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	for _, tc := range []struct {
		name, scheme string
		server       fairlead.Option
		client       fairlead.Option
		protocol     int
	}{
		{"HTTP1", "http", fairlead.WithPlaintext(), fairlead.WithPlaintext(), 1},
		{"HTTP2", "https", fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}, nil),
			fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots}), 2},
		{"HTTP1 over TLS", "https", fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}, nil),
			fairlead.WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots}), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			registry := memory.New()
			start := func() (stop func() error) {
				svc := mustNew(t, "order", tc.server, discard, fairlead.WithoutSignals(), fairlead.WithAdmin(""), fairlead.WithHTTP("127.0.0.1:0"),
					fairlead.WithRegistry(registry), fairlead.WithDrainWait(100*time.Millisecond))
				svc.HTTP().HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					if err != nil || r.ProtoMajor != tc.protocol {
						http.Error(w, fmt.Sprint(r.Proto, err), http.StatusBadRequest)
						return
					}
					w.WriteHeader(http.StatusCreated)
					_, _ = w.Write(body)
				})
				return registered(t, svc)
			}
			instances := []func() error{start(), start(), start()}
			caller := mustNew(t, "caller", tc.client, discard, fairlead.WithAdmin(""), fairlead.WithRegistry(registry),
				fairlead.WithPolicies(policies.WithDefaults(policies.NoRetry(), policies.NoBreaker())))
			defer caller.Close()
			client, err := caller.HTTPClient("order")
			if err != nil {
				t.Fatal(err)
			}
			var calls, failed atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var load sync.WaitGroup
			for i := range 6 {
				load.Go(func() {
					body := bytes.Repeat([]byte{byte('a' + i)}, 1<<(2*i+4))
					for n := 0; ctx.Err() == nil; n++ {
						calls.Add(1)
						if err := post(client, tc.scheme+"://order/orders", body); err != nil && failed.Add(1) < 10 {
							t.Errorf("%s: %v", time.Now().Format("05.000"), err)
						}
						if n%50 == 0 {
							time.Sleep(time.Duration(i) * time.Millisecond) // connections are idle at times
						}
					}
				})
			}
			restarts := 0
			for end := time.Now().Add(time.Minute); (calls.Load() < 5000 || restarts < 6) && time.Now().Before(end) && !t.Failed(); restarts++ {
				i := restarts % len(instances)
				if err := instances[i](); err != nil {
					t.Error(err)
				}
				instances[i] = start()
			}
			cancel()
			load.Wait()
			for _, stop := range instances {
				if err := stop(); err != nil {
					t.Error(err)
				}
			}
			t.Logf("%d restarts, %d of %d calls failed", restarts, failed.Load(), calls.Load())
			if calls.Load() < 5000 || failed.Load() > 0 {
				t.Errorf("%d of %d calls failed, want 0 of 5000 at least", failed.Load(), calls.Load())
			}
		})
	}
}

func post(client *http.Client, url string, body []byte) error {
	// No context of the load's: a call that has begun is to end well.
	resp, err := client.Post(url, "application/octet-stream", io.NopCloser(bytes.NewReader(body))) // nobody can rewind it
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusCreated || !bytes.Equal(got, body)) {
		err = errors.New(resp.Status)
	}
	return err
}
