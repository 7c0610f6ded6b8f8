// SPDX-License-Identifier: Apache-2.0

package interceptors

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/fairlead-go/fairlead/resilience/ratelimit"
)

// PeerKey is the key by which [KeyedRateLimit] limits by default: the peer of a call
// served, as far as the connection proves who that is, and the method.
//
// The client is the first name in a TLS certificate that the server has verified: a
// URI such as a SPIFFE ID, else a DNS name, else the subject's common name. Without
// one it is the address without the port, of IPv6 the first 64 bits, which are one
// subscriber's; and "local" if that is no IP address. All that come through one
// proxy are one client then.
func PeerKey(ctx context.Context, method string) ratelimit.Key {
	key := ratelimit.Key{Client: localClient, Method: method}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return key
	}
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		if name := certifiedName(info.State.VerifiedChains); name != "" {
			key.Client = name
			return key
		}
	}
	if p.Addr != nil {
		key.Client = clientAt(p.Addr)
	}
	return key
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

// clientAt returns the client at addr.
func clientAt(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return network(tcp.AddrPort().Addr())
	}
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return localClient
	}
	return network(at.Addr())
}

// network returns what of ip tells clients apart.
func network(ip netip.Addr) string {
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	subscriber, err := ip.Prefix(64)         // and without a zone
	if err != nil || !subscriber.IsValid() { // of no address
		return localClient
	}
	return subscriber.String()
}
