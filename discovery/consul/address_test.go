// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
)

// empty is a Consul in which there is nothing.
func empty(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Consul-Index", "5")
	w.Header().Set("X-Consul-Knownleader", "true")
	w.Header().Set("X-Consul-Lastcontact", "0")
	if r.URL.Path == "/behind/v1/health/service/prod--order" || r.URL.Path == "/v1/health/service/prod--order" {
		_, _ = w.Write([]byte("[]"))
		return
	}
	http.NotFound(w, r)
}

// first returns the error of the first answer.
func first(t *testing.T, b *consul.Backend, q discovery.Query) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := watch(t, b, q).Next(ctx)
	return err
}

// TestAddresses: hosts, paths and sockets, with TLS and without.
func TestAddresses(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(empty))
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(empty))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket) //nolint:noctx // it does not wait
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(empty), ReadHeaderTimeout: time.Minute}}
	local.Start()
	t.Cleanup(local.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	fromEnv := func(variables map[string]string) func() (*consul.Backend, error) {
		return func() (*consul.Backend, error) { return consul.FromEnv(env(variables)) }
	}
	with := func(opts ...consul.Option) func() (*consul.Backend, error) {
		return func() (*consul.Backend, error) { return consul.New(opts...) }
	}
	for name, tc := range map[string]struct {
		make func() (*consul.Backend, error)
		want string // of the error
	}{
		"host and port":       {with(consul.WithAddress(host(plain))), ""},
		"URL":                 {with(consul.WithAddress(plain.URL)), ""},
		"path":                {with(consul.WithAddress(plain.URL + "/behind/")), ""},
		"socket":              {with(consul.WithAddress("unix://" + socket)), ""},
		"TLS by option":       {with(consul.WithAddress(host(secure)), consul.WithTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})), ""},
		"TLS by environment":  {fromEnv(map[string]string{"CONSUL_HTTP_ADDR": host(secure), "CONSUL_HTTP_SSL": "true", "CONSUL_CACERT": ca}), ""},
		"TLS without a proof": {fromEnv(map[string]string{"CONSUL_HTTP_ADDR": secure.URL, "CONSUL_HTTP_SSL_VERIFY": "false"}), ""},
		"unknown authority":   {with(consul.WithAddress(secure.URL)), "certificate"},
		"another name":        {fromEnv(map[string]string{"CONSUL_HTTP_ADDR": secure.URL, "CONSUL_CACERT": ca, "CONSUL_TLS_SERVER_NAME": "server.dc1.consul"}), "server.dc1.consul"},
		"plain to TLS":        {with(consul.WithAddress(host(secure))), "it wants TLS"},
		"TLS to plain":        {with(consul.WithAddress("https://" + host(plain))), "does not speak TLS"},
		"another path":        {with(consul.WithAddress(plain.URL + "/elsewhere")), "is that Consul?"},
		"no such host":        {fromEnv(map[string]string{"CONSUL_HTTP_ADDR": "consul.invalid:8500"}), "from CONSUL_HTTP_ADDR"},
		"nobody listens":      {with(consul.WithAddress("127.0.0.1:1")), "the address is from WithAddress"},
		"no such socket":      {with(consul.WithAddress("unix://" + socket + "x")), "the address is from WithAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := tc.make()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close() })
			err = first(t, b, order)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("the error lacks %q: %v", tc.want, err)
			}
		})
	}
}

// TestRedirect: a token goes to no other host than the one it is for.
func TestRedirect(t *testing.T) {
	var stolen string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("X-Consul-Token") }))
	t.Cleanup(thief.Close)
	from := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(from.Close)
	b := newBackend(t, consul.WithAddress(from.URL), consul.WithToken("s3cret"))
	if err := first(t, b, order); err == nil || stolen != "" {
		t.Errorf("%v, and the token %q is elsewhere", err, stolen)
	}
}
