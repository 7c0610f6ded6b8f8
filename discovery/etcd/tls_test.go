// SPDX-License-Identifier: Apache-2.0

package etcd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/etcd"
)

// authority issues certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.file = a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

// issue returns a certificate signed by the authority, or by itself if there is none yet.
func (a *authority) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// pair returns the files of a new certificate and its key.
func (a *authority) pair(name string) (cert, key string) {
	a.t.Helper()
	c, k := a.issue(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".pem", "CERTIFICATE", c.Raw), a.write(name+"-key.pem", "PRIVATE KEY", der)
}

// fromEnv returns a back end of an environment.
func fromEnv(t *testing.T, env map[string]string, opts ...etcd.Option) (*etcd.Backend, error) {
	t.Helper()
	b, err := etcd.FromEnv(discovery.NewSettings(func(name string) (string, bool) { v, ok := env[name]; return v, ok }), opts...)
	if err == nil {
		t.Cleanup(func() { closeBackend(t, b) })
	}
	return b, err
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca, stranger := newAuthority(t), newAuthority(t)
	cert, key := ca.pair("server")
	server := newMembers(t, 1, "https", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", ca.file, "--client-cert-auth")[0]
	server.start()
	server.ready()
	plain := startServer(t)
	own, ownKey := ca.pair("client")
	other, otherKey := stranger.pair("client")
	host := strings.TrimPrefix(server.endpoint, "https://")
	for name, tc := range map[string]struct {
		env  map[string]string
		want string // of the error; none if empty
	}{
		"all as it should be":       {env: map[string]string{"ETCD_ENDPOINTS": server.endpoint, "ETCDCTL_CACERT": ca.file, "ETCDCTL_CERT": own, "ETCDCTL_KEY": ownKey}},
		"TLS without a scheme":      {env: map[string]string{"ETCD_ENDPOINTS": host, "ETCDCTL_CACERT": ca.file, "ETCDCTL_CERT": own, "ETCDCTL_KEY": ownKey}},
		"nobody is verified":        {env: map[string]string{"ETCD_ENDPOINTS": host, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY": "true", "ETCDCTL_CERT": own, "ETCDCTL_KEY": ownKey}},
		"authorities of the system": {env: map[string]string{"ETCD_ENDPOINTS": host, "ETCDCTL_CERT": own, "ETCDCTL_KEY": ownKey}, want: "certificate signed by unknown authority"},
		"another authority":         {env: map[string]string{"ETCD_ENDPOINTS": host, "ETCDCTL_CACERT": stranger.file, "ETCDCTL_CERT": own, "ETCDCTL_KEY": ownKey}, want: "certificate signed by unknown authority"},
		"no certificate":            {env: map[string]string{"ETCD_ENDPOINTS": host, "ETCDCTL_CACERT": ca.file}, want: "certificate"},
		"a stranger's certificate":  {env: map[string]string{"ETCD_ENDPOINTS": host, "ETCDCTL_CACERT": ca.file, "ETCDCTL_CERT": other, "ETCDCTL_KEY": otherKey}, want: "certificate"},
		"no TLS on this side":       {env: map[string]string{"ETCD_ENDPOINTS": "http://" + host}, want: "error reading server preface"},
		"no TLS on that side":       {env: map[string]string{"ETCD_ENDPOINTS": strings.TrimPrefix(plain.endpoint, "http://")}, want: "has to begin with http://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := fromEnv(t, tc.env)
			if err != nil {
				t.Fatal(err)
			}
			g := registration(t, b, instance(1))
			start := time.Now()
			_, err = g.Register(call(t), time.Minute, discovery.HealthPassing)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want == "":
				if u := next(t, watch(t, b, order)); len(u.Put) != 1 {
					t.Errorf("watch: %+v", u)
				}
				if _, err := g.Heartbeat(call(t), discovery.HealthPassing); err != nil {
					t.Error(err)
				}
				if c, err := b.Inspect(call(t)); err != nil || c.Leader != "m0" {
					t.Errorf("Inspect: %+v, %v", c, err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.want):
				t.Errorf("got %v, want %q", err, tc.want)
			case time.Since(start) > within-time.Second:
				t.Errorf("it took %v to say so", time.Since(start))
			}
		})
	}
}

// TestTLSRenewed: a certificate whose files are replaced is used for the next connection.
func TestTLSRenewed(t *testing.T) {
	t.Parallel()
	ca, old := newAuthority(t), newAuthority(t)
	cert, key := ca.pair("server")
	server := newMembers(t, 1, "https", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", ca.file, "--client-cert-auth")[0]
	server.start()
	server.ready()
	own, ownKey := old.pair("client") // nobody accepts it
	b, err := fromEnv(t, map[string]string{"ETCD_ENDPOINTS": server.endpoint, "ETCDCTL_CACERT": ca.file, "ETCDCTL_CERT": own, "ETCDCTL_KEY": ownKey})
	if err != nil {
		t.Fatal(err)
	}
	g := registration(t, b, instance(1))
	if _, err := g.Register(call(t), time.Minute, discovery.HealthPassing); err == nil {
		t.Fatal("a certificate of a stranger was accepted")
	}
	fresh, freshKey := ca.pair("fresh")
	if err := os.Rename(freshKey, ownKey); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, own); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, err := g.Register(ctx, time.Minute, discovery.HealthPassing)
		if err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("with the new certificate: %v", err)
		}
	}
}
