// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

const (
	schemePlain  = "http://"
	schemeSecure = "https://"
)

// parseEndpoints returns endpoints with their schemes. The client has one kind of
// connection for all of them: they are all secure, or none is.
func parseEndpoints(endpoints []string, plaintext bool) (out []string, secure bool, err error) {
	if len(endpoints) == 0 {
		return nil, false, errors.New("etcd: endpoints: must not be empty")
	}
	var errs []error
	var plain, tls int
	for _, e := range endpoints {
		scheme, address := schemeSecure, e
		if plaintext {
			scheme = schemePlain
		}
		if name, rest, ok := strings.Cut(e, "://"); ok {
			scheme, address = name+"://", strings.TrimSuffix(rest, "/")
		}
		if err := checkEndpoint(scheme, address); err != nil {
			errs = append(errs, err)
			continue
		}
		if scheme == schemePlain {
			plain++
		} else {
			tls++
		}
		out = append(out, scheme+address)
	}
	if plain > 0 && tls > 0 {
		errs = append(errs, fmt.Errorf("etcd: endpoints %s: must all be https:// or all http://", strings.Join(out, ",")))
	}
	return out, tls > 0, errors.Join(errs...)
}

// checkEndpoint says nothing of what stands before an "@": it may be a password.
func checkEndpoint(scheme, address string) error {
	if i := strings.LastIndex(address, "@"); i >= 0 {
		return fmt.Errorf("etcd: endpoint %q: must not have a user: set it apart", scheme+"…"+address[i:])
	}
	fault := func(rule string) error { return fmt.Errorf("etcd: endpoint %q: must %s", scheme+address, rule) }
	if scheme != schemePlain && scheme != schemeSecure {
		return fault("begin with https:// or http://, or be host:port")
	}
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		return fault("be host:port after the scheme, with [] around an IPv6 host")
	case host == "" || strings.ContainsAny(host, "/?#% "):
		return fault("have a host")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fault("have a port from 1 to 65535, in digits")
	}
	return nil
}
