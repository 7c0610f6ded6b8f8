// SPDX-License-Identifier: Apache-2.0

package httpmw

import (
	"crypto/x509"
	"net/http"
	"net/netip"

	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// PeerKey is the key by which [KeyedRateLimit] limits by default: the peer of a
// request served, as far as the connection proves who that is, and the pattern that
// the request matched, as [http.Request.Pattern] has it. Around a mux there is none
// yet, and requests for all routes take from one bucket; for a bucket each, put the
// middleware around the handlers inside of the mux.
//
// The client is the first name in a TLS certificate that the server has verified: a
// URI such as a SPIFFE ID, else a DNS name, else the subject's common name. Without
// one it is the address without the port, of IPv6 the first 64 bits, which are one
// subscriber's; and "local" if that is no IP address. All that come through one
// proxy are one client then.
func PeerKey(r *http.Request) ratelimit.Key {
	if r.TLS != nil {
		if name := certifiedName(r.TLS.VerifiedChains); name != "" {
			return ratelimit.Key{Client: name, Method: r.Pattern}
		}
	}
	return ratelimit.Key{Client: clientAt(r.RemoteAddr), Method: r.Pattern}
}

// localClient is the client of a peer without a name and an IP address.
const localClient = "local"

// certifiedName returns the first name of the certificate that chains verify, or "".
func certifiedName(chains [][]*x509.Certificate) string {
	if len(chains) == 0 || len(chains[0]) == 0 {
		return ""
	}
	switch cert := chains[0][0]; {
	case len(cert.URIs) > 0:
		return cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	default:
		return cert.Subject.CommonName
	}
}

// clientAt returns the client at addr, "host:port".
func clientAt(addr string) string {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return localClient
	}
	ip := at.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	subscriber, err := ip.Prefix(64) // and without a zone
	if err != nil {
		return localClient
	}
	return subscriber.String()
}
