// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// certificate returns one for a name, which is its own authority.
func certificate(t testing.TB, name string) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

// TestTLSVerifiesTheService: a server that was found under the name of a service has to
// prove that name, at whatever address it is, and sees it as the authority.
func TestTLSVerifiesTheService(t *testing.T) {
	roots := x509.NewCertPool()
	serverOf := func(name string) *server {
		cert, root := certificate(t, name)
		roots.AddCert(root)
		return listen(t, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})))
	}
	for _, tc := range []struct {
		name, certificate string
		opts              []grpc.DialOption
		fails             string
	}{
		{name: "its own", certificate: "order"},
		{name: "another service's", certificate: "payment", fails: "certificate is valid for payment, not order"},
		{name: "its address's", certificate: "localhost", fails: "certificate is valid for localhost, not order"},
		{name: "a name that was said", certificate: "order.internal", opts: []grpc.DialOption{grpc.WithAuthority("order.internal")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			w.put(serverOf(tc.certificate).instance(1))
			conn := dialTLS(t, w.builder(), "memory:///order", credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}), tc.opts...)
			_, err := call(t.Context(), conn)
			switch {
			case tc.fails == "" && err != nil:
				t.Error(err)
			case tc.fails != "" && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), tc.fails)):
				t.Errorf("error %v, want UNAVAILABLE with %q", err, tc.fails)
			}
		})
	}
}
