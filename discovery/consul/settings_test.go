// SPDX-License-Identifier: Apache-2.0

package consul_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/consul"
	"github.com/fairlead-go/fairlead/discovery/consul/internal/consultest"
)

// env is an environment.
func env(variables map[string]string) *discovery.Settings {
	return discovery.NewSettings(func(name string) (string, bool) { v, ok := variables[name]; return v, ok })
}

func shown(b *consul.Backend) []string {
	var out []string
	for _, s := range b.Settings() {
		if s.Value != "" {
			out = append(out, s.String())
		}
	}
	return out
}

// TestSettings: the environment wins over the file, the file over the default, an option
// over all of them, and what came of it can be printed, without secrets.
func TestSettings(t *testing.T) {
	s := env(map[string]string{
		"CONSUL_HTTP_ADDR": "https://consul.internal:8501/prefix/", "CONSUL_HTTP_TOKEN": "s3cret", "CONSUL_HTTP_AUTH": "ann:s3cret",
		"CONSUL_NAMESPACE": "team", "CONSUL_TLS_SERVER_NAME": "server.dc1.consul", "CONSUL_PARTITION": "",
	})
	s.UseFile("registry.yaml", map[string]discovery.FileValue{
		"address": {Value: "ignored:1", Line: 1, Column: 10}, "datacenter": {Value: "dc2", Line: 2, Column: 13}, "wait": {Value: "30s", Line: 3, Column: 7},
		"token_file": {Value: "/ignored", Line: 4, Column: 7},
	})
	b, err := consul.FromEnv(s, consul.WithPartition("red"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"address = https://consul.internal:8501/prefix/ (CONSUL_HTTP_ADDR)",
		"ssl = false (default)",
		"ssl_verify = true (default)",
		"token = (set) (CONSUL_HTTP_TOKEN)",
		"http_auth = (set) (CONSUL_HTTP_AUTH)",
		"tls_server_name = server.dc1.consul (CONSUL_TLS_SERVER_NAME)",
		"namespace = team (CONSUL_NAMESPACE)",
		"partition = red (WithPartition)",
		"datacenter = dc2 (registry.yaml:2:13)",
		"wait = 30s (registry.yaml:3:7)",
	}
	if diff := cmp.Diff(want, shown(b)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got, want := b.String(), "consul at https://consul.internal:8501/prefix"; got != want {
		t.Errorf("String: %q, want %q", got, want)
	}
}

// TestBadSettings: each is refused, by name, value and origin.
func TestBadSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		file map[string]discovery.FileValue
		opts []consul.Option
		want []string
	}{
		"no such scheme":  {env: map[string]string{"CONSUL_HTTP_ADDR": "ftp://consul:1"}, want: []string{`address "ftp://consul:1"`, "http://, https:// or unix://", "CONSUL_HTTP_ADDR"}},
		"no host":         {env: map[string]string{"CONSUL_HTTP_ADDR": "http://"}, want: []string{`address "http://"`, "CONSUL_HTTP_ADDR"}},
		"no socket":       {opts: []consul.Option{consul.WithAddress("unix://")}, want: []string{"name a socket", "WithAddress"}},
		"a bad port":      {opts: []consul.Option{consul.WithAddress("consul:port")}, want: []string{`address "consul:port"`, "WithAddress"}},
		"a user":          {opts: []consul.Option{consul.WithAddress("http://ann:s3cret@consul:1")}, want: []string{`http://(hidden)@consul:1`, "http_auth"}},
		"no boolean":      {env: map[string]string{"CONSUL_HTTP_SSL": "yes please"}, want: []string{`ssl "yes please"`, "true or false", "CONSUL_HTTP_SSL"}},
		"a short wait":    {file: map[string]discovery.FileValue{"wait": {Value: "1ms", Line: 3, Column: 7}}, want: []string{"wait 1ms", "from 1s to 10m0s", "registry.yaml:3:7"}},
		"no duration":     {file: map[string]discovery.FileValue{"wait": {Value: "soon", Line: 3, Column: 7}}, want: []string{`wait "soon"`, "registry.yaml:3:7"}},
		"a misspelt name": {file: map[string]discovery.FileValue{"where": {Value: "x", Line: 1, Column: 1}}, want: []string{`registry.yaml:1:1: "where": no such setting`}},
		"no CA":           {env: map[string]string{"CONSUL_HTTP_ADDR": "https://consul", "CONSUL_CACERT": "/does/not/exist"}, want: []string{"TLS", "/does/not/exist"}},
		"half a key":      {env: map[string]string{"CONSUL_CLIENT_CERT": "cert.pem"}, want: []string{"cert.pem", "both be set"}},
		"a plain token":   {env: map[string]string{"CONSUL_HTTP_ADDR": "10.1.2.3:8500", "CONSUL_HTTP_TOKEN": "s3cret"}, want: []string{`address "10.1.2.3:8500"`, "plain text", "CONSUL_HTTP_SSL", "http://"}},
		"reaped at once":  {opts: []consul.Option{consul.WithDeregisterAfter(time.Second)}, want: []string{"deregister after 1s", "at least 1m0s"}},
		"two namespaces":  {opts: []consul.Option{consul.WithNativeNamespaces(), consul.WithConsulNamespace("team")}, want: []string{`namespace "team"`, "WithConsulNamespace"}},
		"two TLS":         {opts: []consul.Option{consul.WithTLS(&tls.Config{MinVersion: tls.VersionTLS13}), consul.WithTransport(&http.Transport{})}, want: []string{"WithTLS", "WithTransport"}},
		"nil":             {opts: []consul.Option{consul.WithTLS(nil), consul.WithTransport(nil)}, want: []string{"WithTLS: configuration must not be nil", "WithTransport: transport must not be nil"}},
		"an empty tag":    {opts: []consul.Option{consul.WithTags("")}, want: []string{`tag ""`}},
		"several":         {env: map[string]string{"CONSUL_HTTP_SSL": "x"}, opts: []consul.Option{consul.WithWait(0), consul.WithAddress("://")}, want: []string{"ssl", "wait 0s", "address"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := env(tc.env)
			if tc.file != nil {
				s.UseFile("registry.yaml", tc.file)
			}
			_, err := consul.FromEnv(s, tc.opts...)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestPlainTokenWhereItIsMeant: a token may go to this host, or where the scheme says so.
func TestPlainTokenWhereItIsMeant(t *testing.T) {
	for _, address := range []string{"localhost:8500", "127.0.0.1:8500", "[::1]:8500", "http://10.1.2.3:8500", "https://10.1.2.3:8501", "unix:///run/consul.sock"} {
		if _, err := consul.New(consul.WithAddress(address), consul.WithToken("s3cret")); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := consul.FromEnv(env(map[string]string{"CONSUL_HTTP_ADDR": "10.1.2.3:8500", "CONSUL_HTTP_SSL": "false", "CONSUL_HTTP_TOKEN": "s3cret"})); err != nil {
		t.Errorf("TLS that was switched off by name: %v", err)
	}
}

// TestNothingFromTheEnvironment: what the client library would add on its own is not
// sent, nor an obstacle.
func TestNothingFromTheEnvironment(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "leaked")
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "/does/not/exist")
	t.Setenv("CONSUL_NAMESPACE", "leaked")
	t.Setenv("CONSUL_PARTITION", "leaked")
	agent := consultest.New()
	t.Cleanup(agent.Close)
	seen := &tap{next: agent.Transport()}
	b := newBackend(t, consul.WithTransport(seen))
	if r, err := b.Registration(discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:8443"}); err != nil {
		t.Fatal(err)
	} else if _, err := r.Register(t.Context(), time.Minute, discovery.HealthPassing); err != nil {
		t.Fatal(err)
	}
	for _, r := range seen.requests {
		if token := r.Header.Get("X-Consul-Token"); token != "" || strings.Contains(r.URL.RawQuery, "leaked") {
			t.Errorf("%s carries %q", r.URL, token)
		}
	}
	if len(seen.requests) == 0 {
		t.Error("there was no request")
	}
}

// tap remembers requests.
type tap struct {
	next     http.RoundTripper
	requests []*http.Request
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	t.requests = append(t.requests, r)
	return t.next.RoundTrip(r)
}

// TestTokenFile: a token that is replaced is used from the next request on, and a file
// that cannot be read is an error and no request.
func TestTokenFile(t *testing.T) {
	agent := consultest.New()
	t.Cleanup(agent.Close)
	seen := &tap{next: agent.Transport()}
	path := filepath.Join(t.TempDir(), "token")
	b := newBackend(t, consul.WithTransport(seen), consul.WithTokenFile(path), consul.WithPartition("red"), consul.WithConsulNamespace("team"))
	r, err := b.Registration(discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:8443"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Register(t.Context(), time.Minute, discovery.HealthPassing); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "the address is") || len(seen.requests) > 0 {
		t.Fatalf("without the file: %v, and %d requests", err, len(seen.requests))
	}
	var tokens []string
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Register(t.Context(), time.Minute, discovery.HealthPassing); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range seen.requests {
		tokens = append(tokens, r.Header.Get("X-Consul-Token"))
		if q := r.URL.Query(); q.Get("ns") != "team" || q.Get("partition") != "red" {
			t.Errorf("%s lacks its namespace or partition", r.URL)
		}
	}
	if want := []string{"one", "one", "two", "two"}; !slices.Equal(tokens, want) {
		t.Errorf("tokens %v, want %v", tokens, want)
	}
}

// TestNativeNamespaces: what is asked and written is in the namespace of Consul that is
// the environment's, and in no other, whatever the client library makes of the variables.
func TestNativeNamespaces(t *testing.T) {
	t.Setenv("CONSUL_NAMESPACE", "leaked")
	agent := consultest.New()
	t.Cleanup(agent.Close)
	seen := &tap{next: agent.Transport()}
	b := newBackend(t, consul.WithTransport(seen), consul.WithNativeNamespaces())
	r := registration(t, b, discovery.Instance{Namespace: "prod", Service: "order", Address: "10.0.0.7:8443"})
	register(t, r, time.Minute, discovery.HealthPassing)
	if s := agent.Entries()[0].Service; s.Service != "order" || s.ID != "order:order@10.0.0.7:8443" || s.Namespace != "prod" {
		t.Errorf("registered as %s, %s in %q", s.Service, s.ID, s.Namespace)
	}
	if u := next(t, watch(t, b, order)); len(u.Put) != 1 {
		t.Errorf("a watch sees %v", u.Put)
	}
	if _, err := r.Heartbeat(t.Context(), discovery.HealthPassing); err != nil {
		t.Error(err)
	}
	if _, err := r.Lookup(t.Context()); err != nil {
		t.Error(err)
	}
	entries, err := b.Entries(t.Context(), "prod")
	if err != nil || len(entries) != 1 || entries[0].Instance == nil {
		t.Fatalf("Entries: %+v, %v", entries, err)
	}
	if err := b.Remove(t.Context(), entries[0]); err != nil {
		t.Error(err)
	}
	if err := r.Deregister(t.Context()); err != nil {
		t.Error(err)
	}
	for _, r := range seen.requests {
		if ns := r.URL.Query()["ns"]; !slices.Equal(ns, []string{"prod"}) {
			t.Errorf("%s %s is in the namespaces %q", r.Method, r.URL, ns)
		}
	}
}
