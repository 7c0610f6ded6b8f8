// SPDX-License-Identifier: Apache-2.0

package httpresolver_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/httpresolver"
)

// server is an instance on a port of loopback.
type server struct {
	*httptest.Server
	instance discovery.Instance
	calls    atomic.Int64
}

// start begins to serve; handle may be nil.
func start(t testing.TB, n int, handle http.HandlerFunc, configure ...func(*httptest.Server)) *server {
	t.Helper()
	s := &server{instance: order(n)}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if handle != nil {
			handle(w, r)
			return
		}
		_, _ = io.WriteString(w, s.instance.ID)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that refuse a certificate are meant to
	if len(configure) == 0 {
		s.Start()
	}
	for _, f := range configure {
		f(s.Server)
	}
	s.instance.Address = s.Listener.Addr().String()
	t.Cleanup(s.Close)
	return s
}

// kill ends a server as kill -9 does: with its connections, and without a word to the
// registry.
func (s *server) kill() {
	s.Listener.Close()
	s.CloseClientConnections()
	s.Close()
}

// plain returns a client without policies, and its pool.
func plain(t testing.TB, r *httpresolver.Resolver, pool *http.Transport) *http.Client {
	t.Helper()
	t.Cleanup(pool.CloseIdleConnections)
	return &http.Client{Transport: r.Transport(pool), Timeout: 10 * time.Second}
}

// ask makes one request and returns its answer.
func ask(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url) //nolint:noctx // the client has a timeout
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), err
}

// TestKilledInstance: without any retry, the only requests that may fail are those that
// were on their way when an instance was killed. Whoever comes later gets another one,
// though the registry still lists it.
func TestKilledInstance(t *testing.T) {
	w := newWorld(t)
	var servers [4]*server
	for n := range servers {
		servers[n] = start(t, n+1, nil)
		w.put(servers[n].instance)
	}
	client := plain(t, w.resolver(), &http.Transport{MaxIdleConnsPerHost: 100})
	var (
		killed, failedLater, failedBefore, asked atomic.Int64
		wg                                       sync.WaitGroup
	)
	const workers, each = 16, 400
	for range workers {
		wg.Go(func() {
			for range each {
				later := killed.Load() == 1
				if asked.Add(1) == workers*each/4 {
					servers[0].kill()
					killed.Store(1)
				}
				if _, err := ask(client, "http://order/"); err == nil {
					continue
				} else if later {
					failedLater.Add(1)
					t.Log(err)
				} else {
					failedBefore.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failedLater.Load() > 0 || failedBefore.Load() > workers {
		t.Errorf("%d requests failed that began after the instance was killed, want 0; and %d before, want %d at most", failedLater.Load(), failedBefore.Load(), workers)
	}
	for _, s := range servers[1:] {
		if n := s.calls.Load(); n < workers*each/10 {
			t.Errorf("%s got %d calls of %d", s.instance.ID, n, workers*each)
		}
	}
	if n := len(w.registry.Instances(discovery.Query{Namespace: prod, Service: "order"})); n != 4 {
		t.Errorf("%d instances in the registry, want 4", n)
	}
}

// TestUploadSurvivesKilledInstance: a body that can be made again is sent to another
// instance, whole.
func TestUploadSurvivesKilledInstance(t *testing.T) {
	w := newWorld(t)
	echo := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	one, two := start(t, 1, echo), start(t, 2, echo)
	w.put(one.instance, two.instance)
	r := w.resolver()
	client := plain(t, r, &http.Transport{})
	one.kill()
	for range 20 {
		resp := must[*http.Response](t)(client.Post("http://order/", "text/plain", strings.NewReader("hello"))) //nolint:noctx // the client has a timeout
		body := must[[]byte](t)(io.ReadAll(resp.Body))
		resp.Body.Close()
		if string(body) != "hello" {
			t.Fatalf("answer %q", body)
		}
	}
	if st := r.Balancer().Stats(); st.WentUnreachable != 1 {
		t.Errorf("went unreachable %d times, want 1", st.WentUnreachable)
	}
}

// TestRedirects are followed by the name of the service.
func TestRedirects(t *testing.T) {
	w := newWorld(t)
	handle := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/relative":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/absolute":
			http.Redirect(w, r, "http://"+r.Host+"/end", http.StatusFound)
		default:
			_, _ = io.WriteString(w, r.Host+r.URL.Path)
		}
	}
	w.put(start(t, 1, handle).instance)
	client := plain(t, w.resolver(), &http.Transport{})
	for _, path := range []string{"/relative", "/absolute"} {
		if got, err := ask(client, "http://order"+path); got != "order/end" || err != nil {
			t.Errorf("%s: answer %q, error %v", path, got, err)
		}
	}
}

// TestTLS: servers prove the name of the service, or the one that was said instead, and
// over HTTP/2 they see it, too.
func TestTLS(t *testing.T) {
	roots := x509.NewCertPool()
	serverFor := func(n int, name string) *server {
		cert, root := certificate(t, name)
		roots.AddCert(root)
		return start(t, n, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto+" "+r.Host) }, func(s *httptest.Server) {
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
			s.EnableHTTP2 = true
			s.StartTLS()
		})
	}
	base := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	for _, tc := range []struct {
		name, certificate string
		opts              []httpresolver.Option
		fails             string
	}{
		{name: "its own", certificate: "order"},
		{name: "another service's", certificate: "payment", fails: "certificate is valid for payment, not order"},
		{name: "a name that was said", certificate: "order.internal", opts: []httpresolver.Option{httpresolver.WithServerName("order.internal")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(serverFor(1, tc.certificate).instance)
			r := w.resolver(tc.opts...)
			client := plain(t, r, &http.Transport{TLSClientConfig: r.TLSConfig(base), ForceAttemptHTTP2: true})
			got, err := ask(client, "https://order/")
			switch {
			case tc.fails == "" && (err != nil || got != "HTTP/2.0 order"):
				t.Errorf("answer %q, error %v", got, err)
			case tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)):
				t.Errorf("error %v, want %q", err, tc.fails)
			}
		})
	}
	if base.ServerName != "" {
		t.Error("the configuration that was given was changed")
	}
	w := newWorld(t)
	if got := w.resolver().TLSConfig(nil); got.ServerName != "order" || got.MinVersion != tls.VersionTLS12 {
		t.Errorf("configuration %+v", got)
	}
}
