// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// TestBadInput: what makes no sense is refused when it is set, with its name, its value
// and the rule, and without a secret.
func TestBadInput(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		opts []etcd.Option
		want string
	}{
		"endpoint without port":     {env: map[string]string{"ETCD_ENDPOINTS": "etcd"}, want: `endpoint "https://etcd": must be host:port`},
		"endpoint with port 0":      {env: map[string]string{"ETCD_ENDPOINTS": "http://etcd:0"}, want: "must have a port from 1 to 65535"},
		"endpoint with a big port":  {env: map[string]string{"ETCD_ENDPOINTS": "http://etcd:70000"}, want: "must have a port from 1 to 65535"},
		"endpoint without host":     {env: map[string]string{"ETCD_ENDPOINTS": "http://:2379"}, want: "must have a host"},
		"endpoint with a path":      {env: map[string]string{"ETCD_ENDPOINTS": "http://etcd:2379/v3"}, want: "must have a port"},
		"endpoint of another kind":  {env: map[string]string{"ETCD_ENDPOINTS": "ftp://etcd:2379"}, want: "must begin with https:// or http://"},
		"endpoint with a password":  {env: map[string]string{"ETCD_ENDPOINTS": "http://root:hunter2@etcd:2379"}, want: "must not have a user"},
		"endpoints of both kinds":   {env: map[string]string{"ETCD_ENDPOINTS": "http://a:1,https://b:1"}, want: "must all be https:// or all http://"},
		"no endpoints":              {opts: []etcd.Option{etcd.WithEndpoints()}, want: "endpoints: must not be empty"},
		"TLS for http":              {opts: []etcd.Option{etcd.WithTLS(&tls.Config{MinVersion: tls.VersionTLS13})}, want: "must be https:// where TLS is configured"},
		"password without user":     {env: map[string]string{"ETCDCTL_PASSWORD": "hunter2"}, want: "user \"\": must be set with a password"},
		"user without password":     {env: map[string]string{"ETCDCTL_USER": "svc"}, want: "password \"\": must be set with a user"},
		"not a duration":            {env: map[string]string{"ETCDCTL_DIAL_TIMEOUT": "soon"}, want: `dial-timeout "soon": must be a duration`},
		"a negative duration":       {env: map[string]string{"ETCDCTL_KEEPALIVE_TIME": "-1s"}, want: "keepalive-time -1s: must be positive"},
		"not a bool":                {env: map[string]string{"ETCDCTL_INSECURE_SKIP_TLS_VERIFY": "perhaps"}, want: "must be true or false (from ETCDCTL_INSECURE_SKIP_TLS_VERIFY)"},
		"authority that is missing": {env: map[string]string{"ETCDCTL_CACERT": "/nowhere"}, want: "cacert: open /nowhere"},
		"authority that is none":    {env: map[string]string{"ETCDCTL_CACERT": empty}, want: "must have certificates in PEM"},
		"certificate without key":   {env: map[string]string{"ETCDCTL_CERT": empty}, want: "must be set together"},
		"certificate that is none":  {env: map[string]string{"ETCDCTL_CERT": empty, "ETCDCTL_KEY": empty}, want: "failed to find any PEM data"},
		"no prefix":                 {opts: []etcd.Option{etcd.WithPrefix("")}, want: `prefix ""`},
		"prefix with a slash":       {opts: []etcd.Option{etcd.WithPrefix("/a")}, want: `prefix "/a"`},
		"prefix with a slash after": {opts: []etcd.Option{etcd.WithPrefix("a/")}, want: `prefix "a/"`},
		"prefix that goes up":       {opts: []etcd.Option{etcd.WithPrefix("a/../b")}, want: `prefix "a/../b"`},
		"prefix with a space":       {opts: []etcd.Option{etcd.WithPrefix("a b")}, want: `prefix "a b"`},
		"prefix of another script":  {opts: []etcd.Option{etcd.WithPrefix("а")}, want: "prefix"},
		"prefix that is too long":   {opts: []etcd.Option{etcd.WithPrefix(strings.Repeat("a", 256))}, want: "1 to 255"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fromEnv(t, tc.env, tc.opts...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("it tells the password: %v", err)
			}
		})
	}
	// All at once.
	_, err := fromEnv(t, map[string]string{"ETCD_ENDPOINTS": "etcd", "ETCDCTL_PASSWORD": "x", "ETCDCTL_DIAL_TIMEOUT": "soon"}, etcd.WithPrefix(""))
	for _, want := range []string{"endpoint", "user", "dial-timeout", "prefix"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

func TestSettings(t *testing.T) {
	env := map[string]string{
		"ETCDCTL_ENDPOINTS": "etcd-1:2379, https://etcd-2:2379", "ETCDCTL_USER": "svc:hunter2", "ETCDCTL_KEEPALIVE_TIMEOUT": "7s",
	}
	s := discovery.NewSettings(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	s.UseFile("registry.yaml", map[string]discovery.FileValue{
		"endpoints": {Value: "http://other:1", Line: 1, Column: 2}, "prefix": {Value: "platform", Line: 3, Column: 4},
	})
	b, err := etcd.FromEnv(s, etcd.WithConnectTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer closeBackend(t, b)
	var text strings.Builder
	for _, s := range b.Settings() {
		fmt.Fprintln(&text, s)
	}
	want := `endpoints = https://etcd-1:2379,https://etcd-2:2379 (ETCDCTL_ENDPOINTS)
prefix = platform (registry.yaml:3:4)
user = (set) (ETCDCTL_USER)
password = (set) (default)
cacert =  (default)
cert =  (default)
key =  (default)
insecure-skip-tls-verify = false (default)
insecure-transport = false (default)
dial-timeout = 1s (option)
keepalive-time = 10s (default)
keepalive-timeout = 7s (ETCDCTL_KEEPALIVE_TIMEOUT)
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}

	s = discovery.NewSettings(func(string) (string, bool) { return "", false })
	s.UseFile("registry.yaml", map[string]discovery.FileValue{"endpoint": {Value: "x", Line: 5, Column: 1}})
	if _, err := etcd.FromEnv(s); err == nil || !strings.Contains(err.Error(), `registry.yaml:5:1: "endpoint": no such setting`) {
		t.Errorf("a setting that is misspelt: %v", err)
	}
}

func TestPlaintextByName(t *testing.T) {
	b, err := fromEnv(t, map[string]string{"ETCD_ENDPOINTS": "etcd:2379", "ETCDCTL_INSECURE_TRANSPORT": "true"})
	if err != nil || b.String() != "etcd at http://etcd:2379" {
		t.Errorf("got %v, %v", b, err)
	}
}

func TestGivenClient(t *testing.T) {
	bubble(t, func(w *world) {
		client := w.backend.Client()
		b, err := etcd.NewWithClient(client, etcd.WithPrefix("other"))
		if err != nil {
			w.Fatal(err)
		}
		register(w.T, registration(w.T, b, instance(1)), time.Minute)
		if _, found := w.server.Lease("other/" + strings.TrimPrefix(keyOf(instance(1)), etcd.DefaultPrefix+"/")); !found {
			w.Error("it is not under its prefix")
		}
		if u := next(w.T, watch(w.T, w.backend, order)); len(u.Put) != 0 {
			w.Errorf("it is seen under another prefix: %+v", u)
		}
		if got := fmt.Sprint(b.Settings()); got != "[endpoints = http://etcd:2379 (option) prefix = other (option)]" {
			w.Errorf("got %s", got)
		}
		closeBackend(w.T, b)
		if err := client.Ctx().Err(); err != nil {
			w.Error("a client that was given was closed")
		}
		for _, opts := range [][]etcd.Option{{etcd.WithUser("a", "b")}, {etcd.WithEndpoints("a:1")}, {etcd.WithPrefix("")}} {
			if _, err := etcd.NewWithClient(client, opts...); err == nil {
				w.Error("no error")
			}
		}
		var none *clientv3.Client
		if _, err := etcd.NewWithClient(none); err == nil {
			w.Error("a nil client is taken")
		}
	})
}

// TestUnreachable: an address where nobody is, is said to be that, within the call.
func TestUnreachable(t *testing.T) {
	b := realBackend(t, etcd.WithEndpoints("http://"+freeAddress(t)))
	_, err := registration(t, b, instance(1)).Register(call(t), time.Minute, discovery.HealthPassing)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v, want that the connection was refused", err)
	}
	in := instance(1)
	in.Namespace = ""
	if _, err := b.Registration(in); err == nil || !strings.Contains(err.Error(), `namespace "": must not be empty`) {
		t.Errorf("without a namespace: %v", err)
	}
	if _, err := b.Watch(call(t), discovery.Query{Service: "order"}); err == nil {
		t.Error("a query without a namespace was taken")
	}
	closeBackend(t, b)
	closeBackend(t, b)
	if _, err := watch(t, b, order).Next(call(t)); err == nil {
		t.Error("a watch of a back end that is closed: no error")
	}
}
