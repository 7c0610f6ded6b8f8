// SPDX-License-Identifier: Apache-2.0

package ctxutil

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Internal is the pattern that stands for all of [InternalHosts].
const Internal = "<internal>"

// maxHostBytes is the length of the longest domain name (RFC 1035 §2.3.4).
const maxHostBytes = 253

// Egress is the guard at the way out: it says to which hosts identity, baggage
// and business headers may be sent. To others a call goes without them.
//
// A nil *Egress allows nothing. An Egress is immutable and safe for concurrent use.
type Egress struct {
	all      bool
	single   bool // names without a dot
	exact    map[string]struct{}
	suffixes []string // each with its leading dot
	prefixes []netip.Prefix
}

// NewEgress returns the guard that allows the hosts matching one of the patterns:
//
//   - a name, such as "api.example.com";
//   - "*.example.com" for every name below example.com, not for itself;
//   - an IP address or a CIDR prefix;
//   - [Internal] for what [InternalHosts] allows;
//   - "*" for every host.
//
// Without patterns nothing is allowed. It fails on a pattern that is none of these.
func NewEgress(patterns ...string) (*Egress, error) {
	e := &Egress{exact: map[string]struct{}{}}
	var errs []error
	for _, p := range patterns {
		if err := e.add(p); err != nil {
			errs = append(errs, fmt.Errorf("ctxutil: NewEgress: pattern %q: %w", p, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return e, nil
}

// InternalHosts returns the guard that allows what is not on the public Internet:
//
//   - names without a dot, such as services known to a registry, to Compose or
//     to Kubernetes, and sockets of the local machine;
//   - names below .local, .internal, .svc, .consul and .localhost, which include
//     Kubernetes' .cluster.local;
//   - loopback, private (RFC 1918, RFC 4193), link-local and unspecified addresses.
func InternalHosts() *Egress {
	e := &Egress{exact: map[string]struct{}{}}
	e.addInternal()
	return e
}

// Allows reports whether headers may be sent to host: a name or an address, with
// or without a port, or a target of grpc.NewClient such as
// "consul:///inventory?ns=prod", of which the endpoint counts. Names match in any
// case, with or without a final dot. A host that no resolver should see (user
// info, spaces, control characters, an address in octal) is never allowed, not
// even by "*".
//
// It costs no allocation for names and IPv4 addresses.
func (e *Egress) Allows(host string) bool {
	if e == nil {
		return false
	}
	host, ok := endpoint(host)
	if !ok || len(host) > maxHostBytes+1 {
		return false
	}
	if addr, isAddr := parseAddr(host); isAddr {
		if !addr.IsValid() {
			return false
		}
		if e.all {
			return true
		}
		for _, p := range e.prefixes {
			if p.Contains(addr) {
				return true
			}
		}
		return false
	}
	host = strings.TrimSuffix(host, ".")
	dots, ok := checkName(host)
	if !ok {
		return false
	}
	if e.all || e.single && dots == 0 {
		return true
	}
	var buf [maxHostBytes]byte
	name := lower(buf[:0], host)
	if _, ok := e.exact[string(name)]; ok {
		return true
	}
	for _, s := range e.suffixes {
		if len(name) > len(s) && string(name[len(name)-len(s):]) == s {
			return true
		}
	}
	return false
}

func (e *Egress) add(pattern string) error {
	switch {
	case pattern == "*":
		e.all = true
		return nil
	case pattern == Internal:
		e.addInternal()
		return nil
	case strings.Contains(pattern, "/"):
		p, err := netip.ParsePrefix(pattern)
		if err != nil {
			return errors.New("not a CIDR prefix")
		}
		e.prefixes = append(e.prefixes, p)
		return nil
	}
	if addr, isAddr := parseAddr(strings.Trim(pattern, "[]")); isAddr {
		if !addr.IsValid() {
			return errors.New("not an IP address")
		}
		e.prefixes = append(e.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
		return nil
	}
	name, isSuffix := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(pattern, ".")), "*.")
	if _, ok := checkName(name); !ok {
		return errors.New("not a host name, *.suffix, IP address, CIDR prefix, * or " + Internal)
	}
	if isSuffix {
		e.suffixes = append(e.suffixes, "."+name)
	} else {
		e.exact[name] = struct{}{}
	}
	return nil
}

func (e *Egress) addInternal() {
	e.single = true
	e.suffixes = append(e.suffixes, ".local", ".internal", ".svc", ".consul", ".localhost")
	for _, p := range []string{
		"127.0.0.0/8", "::1/128", // loopback
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", // private
		"169.254.0.0/16", "fe80::/10", // link-local
		"0.0.0.0/32", "::/128", // "this host": a listener's address, dialled
	} {
		e.prefixes = append(e.prefixes, netip.MustParsePrefix(p))
	}
}

// endpoint cuts the host out of what a client is told to call: host, host:port,
// a gRPC target or an http URL.
func endpoint(target string) (string, bool) {
	if scheme, rest, ok := strings.Cut(target, "://"); ok {
		authority, path, _ := strings.Cut(rest, "/")
		switch {
		case isScheme(scheme, "http"), isScheme(scheme, "https"):
			target = authority
		case isScheme(scheme, "unix"), isScheme(scheme, "unix-abstract"):
			return "localhost", isPrintable(rest)
		default:
			// What stands between the slashes is the registry or the name
			// server to ask, not whom to call.
			target, _, _ = strings.Cut(path, "?")
		}
	} else if scheme, rest, ok := strings.Cut(target, ":"); ok && !isPort(rest) {
		switch {
		case isScheme(scheme, "dns"), isScheme(scheme, "passthrough"):
			target = rest
		case isScheme(scheme, "unix"), isScheme(scheme, "unix-abstract"):
			return "localhost", isPrintable(rest)
		}
	}
	return splitPort(target)
}

// splitPort returns the host of "host", "host:port", "[v6]:port", "[v6]" or "v6".
func splitPort(s string) (string, bool) {
	if strings.HasPrefix(s, "[") {
		host, port, ok := strings.Cut(s[1:], "]")
		if !ok || !strings.Contains(host, ":") {
			return "", false
		}
		if port == "" {
			return host, true
		}
		return host, port[0] == ':' && isPort(port[1:])
	}
	host, port, ok := strings.Cut(s, ":")
	if !ok || strings.Contains(port, ":") {
		return s, true // no port, or an IPv6 address
	}
	return host, isPort(port)
}

// parseAddr reads an IP address; isAddr says that s must be one because a name
// may not look like it. Resolvers disagree on forms such as 127.1 or 0x7f000001,
// so those are neither: isAddr with an invalid address.
func parseAddr(s string) (addr netip.Addr, isAddr bool) {
	last := strings.TrimSuffix(s, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if !strings.Contains(s, ":") && !isNumber(last) {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, true
	}
	return addr.WithZone("").Unmap(), true
}

// checkName reports whether s is a domain name without its final dot, or a
// service name, and how many dots it has.
func checkName(s string) (dots int, ok bool) {
	if len(s) == 0 || len(s) > maxHostBytes {
		return 0, false
	}
	label := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if label == 0 {
				return 0, false
			}
			dots++
			label = 0
		case isAlphaNum(c) || c == '-' || c == '_':
			label++
			if label > 63 {
				return 0, false
			}
		default:
			return 0, false
		}
	}
	return dots, label > 0
}

// isNumber reports whether a resolver may take a label for part of an address:
// decimal, octal or 0x-hexadecimal.
func isNumber(label string) bool {
	if len(label) >= 2 && label[0] == '0' && label[1]|0x20 == 'x' {
		label = label[2:]
		for i := range len(label) {
			if hexDigit(label[i]) > 0xf {
				return false
			}
		}
		return true
	}
	return isDigits(label)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func isPort(s string) bool { return len(s) <= 5 && isDigits(s) }

func isScheme(s, scheme string) bool { return strings.EqualFold(s, scheme) }

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}
