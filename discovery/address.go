// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// canonicalAddress checks a host:port and returns its one spelling, so that the
// same address always makes the same id.
func canonicalAddress(address string) (string, error) {
	fault := func(rule string) (string, error) {
		return "", fmt.Errorf("discovery: address %q: %s", address, rule)
	}
	if address == "" {
		return fault("must not be empty")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fault("must be host:port, with [] around an IPv6 host")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return fault("must have a port from 1 to 65535, in digits")
	case n == 0:
		return fault("must not have port 0: register the port that the listener was given")
	case host == "":
		return fault("must have a host: callers cannot know which one is meant")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		host, ok := canonicalHost(host)
		if !ok {
			return fault("must have an IP address or a DNS name for a host")
		}
		return host + ":" + strconv.FormatUint(n, 10), nil
	}
	ip = ip.Unmap()
	switch {
	case ip.IsUnspecified():
		return fault("must not have a wildcard for a host: register the address that callers reach")
	case ip.IsMulticast():
		return fault("must not have a multicast address for a host")
	case ip.Zone() != "":
		return fault("must not have a zone: it means nothing on another machine")
	}
	return netip.AddrPortFrom(ip, uint16(n)).String(), nil
}

// canonicalHost checks a DNS name and returns it in lower case, without a dot at
// its end. Underscores are allowed, because they are in use.
func canonicalHost(host string) (string, bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" || len(host) > 253 {
		return "", false
	}
	last := ""
	for last = range strings.SplitSeq(host, ".") {
		if last == "" || len(last) > 63 || !isWord(last, "-_") || last[0] == '-' || last[len(last)-1] == '-' {
			return "", false
		}
	}
	// A name whose last label is a number is an IPv4 address that went wrong.
	return host, strings.ContainsFunc(last, func(r rune) bool { return r < '0' || r > '9' })
}
