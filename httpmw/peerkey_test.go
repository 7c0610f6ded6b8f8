// SPDX-License-Identifier: Apache-2.0

package httpmw_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"

	"github.com/fairlead-go/fairlead/httpmw"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// named is a connection whose peer has shown a certificate.
func named(verified bool, cert x509.Certificate) *tls.ConnectionState {
	state := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&cert}}
	if verified {
		state.VerifiedChains = [][]*x509.Certificate{{&cert, {Subject: pkix.Name{CommonName: "CA"}}}}
	}
	return state
}

func TestPeerKey(t *testing.T) {
	spiffe := &url.URL{Scheme: "spiffe", Host: "shop", Path: "/order"}
	for _, tc := range []struct {
		name string
		addr string
		tls  *tls.ConnectionState
		want string
	}{
		{"nobody", "", nil, "local"},
		{"IPv4", "192.0.2.7:4711", nil, "192.0.2.7"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.7]:4711", nil, "192.0.2.7"},
		{"IPv6", "[2001:db8:1:2:3:4:5:6]:4711", nil, "2001:db8:1:2::/64"},
		{"IPv6 of the same subscriber", "[2001:db8:1:2:ffff::1]:4711", nil, "2001:db8:1:2::/64"},
		{"IPv6 of a link", "[fe80::1%eth0]:4711", nil, "fe80::/64"},
		{"no port", "192.0.2.7", nil, "local"},
		{"nonsense", "made up by the peer", nil, "local"},
		{"a socket", "@", nil, "local"},
		{"a URI", "192.0.2.7:1", named(true, x509.Certificate{
			URIs: []*url.URL{spiffe}, DNSNames: []string{"order"}, Subject: pkix.Name{CommonName: "cn"}}), "spiffe://shop/order"},
		{"a DNS name", "192.0.2.7:1", named(true, x509.Certificate{
			DNSNames: []string{"order", "order.shop"}, Subject: pkix.Name{CommonName: "cn"}}), "order"},
		{"a common name", "192.0.2.7:1", named(true, x509.Certificate{Subject: pkix.Name{CommonName: "cn"}}), "cn"},
		{"no name", "192.0.2.7:1", named(true, x509.Certificate{}), "192.0.2.7"},
		{"not verified", "192.0.2.7:1", named(false, x509.Certificate{DNSNames: []string{"order"}}), "192.0.2.7"},
		{"no certificate", "192.0.2.7:1", &tls.ConnectionState{}, "192.0.2.7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request()
			r.RemoteAddr, r.TLS, r.Pattern = tc.addr, tc.tls, "GET /a/{b}"
			r.Header.Set("X-Forwarded-For", "198.51.100.1")
			want := ratelimit.Key{Client: tc.want, Method: "GET /a/{b}"}
			if got := httpmw.PeerKey(r); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
