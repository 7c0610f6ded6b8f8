// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/fairlead-go/fairlead/interceptors"
)

// authority is a CA made for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	der := sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, a, &a.key)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a key, and a certificate for it by a, or by itself while a has none.
func sign(t *testing.T, template *x509.Certificate, a *authority, key **ecdsa.PrivateKey) []byte {
	t.Helper()
	var err error
	if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &(*key).PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// certificate is one for 127.0.0.1.
func (a *authority) certificate(t *testing.T) tls.Certificate {
	t.Helper()
	var key *ecdsa.PrivateKey
	der := sign(t, &x509.Certificate{
		Subject:     pkix.Name{CommonName: "somebody"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a, &key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	addr := listen(t, "127.0.0.1:0", interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.certificate(t)}}))
	c := newClient(t, addr, interceptors.WithTLS(&tls.Config{RootCAs: ca.pool()}))
	if err := c.WaitReady(soon(t)); err != nil {
		t.Fatal(err)
	}
	if err := callUnary(soon(t), testgrpc.NewTestServiceClient(c)); err != nil {
		t.Fatal(err)
	}
}

// oldSuites are some that TLS 1.0 knows.
var oldSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}

// TestOldTLSIsRefused whatever the configuration says.
func TestOldTLSIsRefused(t *testing.T) {
	ca := newAuthority(t)
	addr := listen(t, "127.0.0.1:0", interceptors.WithTLS(&tls.Config{
		Certificates: []tls.Certificate{ca.certificate(t)},
		MinVersion:   tls.VersionTLS10, CipherSuites: oldSuites, //nolint:gosec // that is the point
	}))
	conn, err := tls.Dial("tcp", addr, &tls.Config{ //nolint:gosec // that is the point
		RootCAs: ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, CipherSuites: oldSuites, NextProtos: []string{"h2"},
	})
	if err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was spoken")
	}
}
