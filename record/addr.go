// SPDX-License-Identifier: Apache-2.0

package record

import (
	"hash/maphash"
	"net"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
)

// address is a network address taken apart once.
type address struct {
	addr net.Addr
	text string // "host:port", as it is logged
	host string
	port int // 0 if there is none

	server, peer []attribute.KeyValue // the address as span attributes
}

// addressCache remembers the addresses of recent connections: a connection's
// net.Addr is one value for all its calls, and formatting it allocates. It has
// a fixed number of places; a newcomer takes the place of another.
type addressCache struct {
	seed   maphash.Seed
	places [64]atomic.Pointer[address]
}

var noAddress = &address{}

// get returns a taken apart. It allocates only for an address it has not met lately.
func (c *addressCache) get(a net.Addr) *address {
	if a == nil {
		return noAddress
	}
	place := &c.places[c.index(a)]
	if known := place.Load(); known != nil && known.is(a) {
		return known
	}
	fresh := newAddress(a, a.String())
	place.Store(fresh)
	return fresh
}

// index spreads the usual kinds of address over the places by their pointers.
// Other kinds, which might not be comparable, are told apart by their text.
func (c *addressCache) index(a net.Addr) int {
	var h uint64
	switch a := a.(type) {
	case *net.TCPAddr:
		h = maphash.Comparable(c.seed, a)
	case *net.UnixAddr:
		h = maphash.Comparable(c.seed, a)
	default:
		h = maphash.String(c.seed, a.Network())
	}
	return int(h % uint64(len(c.places)))
}

// is reports whether a is the address remembered. Only pointers are compared
// as such: comparing other interface values can panic.
func (known *address) is(a net.Addr) bool {
	switch a := a.(type) {
	case *net.TCPAddr:
		return known.addr == net.Addr(a)
	case *net.UnixAddr:
		return known.addr == net.Addr(a)
	default:
		return known.text == a.String()
	}
}

func newAddress(a net.Addr, text string) *address {
	out := &address{addr: a, text: text}
	out.host, out.port = splitHost(text)
	out.server = addressAttributes(serverAddressKey, serverPortKey, out)
	out.peer = addressAttributes(peerAddressKey, peerPortKey, out)
	return out
}

func addressAttributes(host, port attribute.Key, a *address) []attribute.KeyValue {
	kvs := []attribute.KeyValue{host.String(a.host)}
	if a.port != 0 {
		kvs = append(kvs, port.Int(a.port))
	}
	return kvs
}
