// SPDX-License-Identifier: Apache-2.0

package interceptors_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/url"
	"testing"

	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/peer"

	"github.com/fairlead-go/fairlead/interceptors"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// named is a connection whose peer has shown a certificate.
func named(verified bool, cert x509.Certificate) credentials.AuthInfo {
	info := credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{&cert}}}
	if verified {
		info.State.VerifiedChains = [][]*x509.Certificate{{&cert, {Subject: pkix.Name{CommonName: "CA"}}}}
	}
	return info
}

// at is an address that is none of net's types, as that of gRPC under net/http.
type at string

func (at) Network() string  { return "tcp" }
func (a at) String() string { return string(a) }

func TestPeerKey(t *testing.T) {
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 4711} }
	spiffe := &url.URL{Scheme: "spiffe", Host: "shop", Path: "/order"}
	for _, tc := range []struct {
		name string
		peer *peer.Peer
		want string
	}{
		{"nobody", nil, "local"},
		{"no address", &peer.Peer{}, "local"},
		{"IPv4", &peer.Peer{Addr: tcp("192.0.2.7")}, "192.0.2.7"},
		{"IPv4 in IPv6", &peer.Peer{Addr: tcp("::ffff:192.0.2.7")}, "192.0.2.7"},
		{"IPv6", &peer.Peer{Addr: tcp("2001:db8:1:2:3:4:5:6")}, "2001:db8:1:2::/64"},
		{"IPv6 of the same subscriber", &peer.Peer{Addr: tcp("2001:db8:1:2:ffff::1")}, "2001:db8:1:2::/64"},
		{"IPv6 of a link", &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}}, "fe80::/64"},
		{"no IP", &peer.Peer{Addr: &net.TCPAddr{}}, "local"},
		{"an address in words", &peer.Peer{Addr: at("192.0.2.7:4711")}, "192.0.2.7"},
		{"an address in words, IPv6", &peer.Peer{Addr: at("[2001:db8::1]:4711")}, "2001:db8::/64"},
		{"nonsense", &peer.Peer{Addr: at("made up by the peer")}, "local"},
		{"a socket", &peer.Peer{Addr: &net.UnixAddr{Name: "/run/x.sock", Net: "unix"}}, "local"},
		{"a URI", &peer.Peer{Addr: tcp("192.0.2.7"), AuthInfo: named(true, x509.Certificate{
			URIs: []*url.URL{spiffe}, DNSNames: []string{"order"}, Subject: pkix.Name{CommonName: "cn"}})}, "spiffe://shop/order"},
		{"a DNS name", &peer.Peer{Addr: tcp("192.0.2.7"), AuthInfo: named(true, x509.Certificate{
			DNSNames: []string{"order", "order.shop"}, Subject: pkix.Name{CommonName: "cn"}})}, "order"},
		{"a common name", &peer.Peer{Addr: tcp("192.0.2.7"), AuthInfo: named(true, x509.Certificate{Subject: pkix.Name{CommonName: "cn"}})}, "cn"},
		{"no name", &peer.Peer{Addr: tcp("192.0.2.7"), AuthInfo: named(true, x509.Certificate{})}, "192.0.2.7"},
		{"not verified", &peer.Peer{Addr: tcp("192.0.2.7"), AuthInfo: named(false, x509.Certificate{DNSNames: []string{"order"}})}, "192.0.2.7"},
		{"no certificate", &peer.Peer{Addr: tcp("192.0.2.7"), AuthInfo: credentials.TLSInfo{}}, "192.0.2.7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := t.Context()
			if tc.peer != nil {
				ctx = peer.NewContext(ctx, tc.peer)
			}
			want := ratelimit.Key{Client: tc.want, Method: "/a.B/C"}
			if got := interceptors.PeerKey(ctx, "/a.B/C"); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestPeerKeyOverTLS: with real connections.
func TestPeerKeyOverTLS(t *testing.T) {
	ca := newAuthority(t)
	for _, tc := range []struct {
		name string
		auth tls.ClientAuthType
		want string
	}{
		{"verified", tls.RequireAndVerifyClientCert, "somebody"},
		{"not verified", tls.RequireAnyClientCert, "127.0.0.1"},
		{"not asked for", tls.NoClientCert, "127.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got ratelimit.Key
			l := keyedFunc(func(_ context.Context, key ratelimit.Key) error { got = key; return nil })
			addr := listen(t, "127.0.0.1:0",
				interceptors.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.certificate(t)}, ClientAuth: tc.auth, ClientCAs: ca.pool()}),
				interceptors.WithServerInterceptors(interceptors.KeyedRateLimit(l, nil)))
			c := newClient(t, addr, interceptors.WithTLS(&tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.certificate(t)}}))
			if err := callUnary(soon(t), testgrpc.NewTestServiceClient(c)); err != nil {
				t.Fatal(err)
			}
			if want := (ratelimit.Key{Client: tc.want, Method: "/grpc.testing.TestService/UnaryCall"}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
