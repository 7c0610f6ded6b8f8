// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The checks return the rule that a value breaks, or "". A value that the SDK or
// an exporter would ignore with a line in a log nobody reads is broken.

func boolean(value string) string {
	if strings.EqualFold(value, "true") || strings.EqualFold(value, "false") {
		return ""
	}
	return "must be true or false"
}

func integer(value string) string {
	if _, err := strconv.Atoi(value); err != nil {
		return "must be a whole number"
	}
	return ""
}

func intBetween(low, high int) func(string) string {
	return func(value string) string {
		if n, err := strconv.Atoi(value); err != nil || n < low || n > high {
			return fmt.Sprintf("must be a whole number from %d to %d", low, high)
		}
		return ""
	}
}

func milliseconds(value string) string {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > math.MaxInt64/int(time.Millisecond) {
		return "must be a whole number of milliseconds, 1 or more"
	}
	return ""
}

// oneOf does not mind upper case, which the specification recommends.
func oneOf(names ...string) func(string) string {
	exact := exactly(names...)
	return func(value string) string { return exact(strings.ToLower(value)) }
}

// exactly is for values that an exporter reads itself, minding the case.
func exactly(names ...string) func(string) string {
	return func(value string) string {
		if slices.Contains(names, value) {
			return ""
		}
		return "must be one of " + strings.Join(names, ", ")
	}
}

// listOf takes a comma-separated list. "none" stands alone: with others beside
// it, nobody can say what is meant.
func listOf(names ...string) func(string) string {
	one := oneOf(names...)
	return func(value string) string {
		items := strings.Split(value, ",")
		for _, item := range items {
			item = strings.TrimSpace(item)
			if rule := one(item); rule != "" {
				return fmt.Sprintf("of which %q %s", item, rule)
			}
			if strings.EqualFold(item, exporterNone) && len(items) > 1 {
				return "must not have none beside others"
			}
		}
		return ""
	}
}

// keyValues takes k=v,k=v with the values percent-encoded, which is what headers
// and resource attributes are written in. The rule names keys only: values may
// be secrets.
func keyValues(value string) string {
	for pair := range strings.SplitSeq(value, ",") {
		key, val, found := strings.Cut(pair, "=")
		if !found || strings.TrimSpace(key) == "" {
			return "must be a list of key=value, separated by commas"
		}
		if _, err := url.PathUnescape(val); err != nil {
			return fmt.Sprintf("has a broken percent-encoding in the value of %s", strings.TrimSpace(key))
		}
	}
	return ""
}

// headers are key-values whose keys HTTP can carry (RFC 9110, token).
func headers(value string) string {
	if rule := keyValues(value); rule != "" {
		return rule
	}
	for pair := range strings.SplitSeq(value, ",") {
		key, _, _ := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); strings.ContainsFunc(key, notToken) {
			return fmt.Sprintf("has %q for a key, which is no name of a header", key)
		}
	}
	return ""
}

func notToken(r rune) bool {
	alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func certificate(file string) string {
	pem, err := os.ReadFile(file)
	if err != nil {
		return "cannot be read: " + err.Error()
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return "must be a file with PEM certificates"
	}
	return ""
}

// checkOTLP checks what one variable alone cannot tell: an endpoint against the
// protocol it is used with, a certificate against its key.
func (e *environ) checkOTLP() {
	e.checkClientCertificate(otlpPrefix)
	failed := make(map[string]bool)
	for _, s := range signals {
		e.checkClientCertificate(otlpPrefix + "_" + s.env)
		name := s.otlpVariable("ENDPOINT")
		if e.value[name] == "" {
			name = otlpPrefix + "_ENDPOINT"
		}
		if rule := checkEndpoint(e.value[name], e.protocol(s)); rule != "" && !failed[name] {
			failed[name] = true
			e.fail(name, e.value[name], rule)
		}
	}
}

func (e *environ) checkClientCertificate(prefix string) {
	cert, key := prefix+"_CLIENT_CERTIFICATE", prefix+"_CLIENT_KEY"
	switch c, k := e.value[cert], e.value[key]; {
	case c == "" && k == "":
	case c == "":
		e.fail(key, k, "must have "+cert+" with it")
	case k == "":
		e.fail(cert, c, "must have "+key+" with it")
	default:
		if _, err := tls.LoadX509KeyPair(c, k); err != nil {
			e.fail(cert, c, "cannot be loaded: "+err.Error())
		}
	}
}

// checkEndpoint refuses what the exporters would misread: 127.0.0.1:4317 is no
// URL, and over HTTP localhost:4318 is one without a host.
func checkEndpoint(value, protocol string) string {
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	switch {
	case err != nil && !strings.Contains(value, "://"):
		return "must have a scheme, as in http://" + value
	case err != nil:
		return "must be a URL" // the error repeats the value, which may hold a password
	case protocol == protocolHTTP && (u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		return "must be a URL with http or https and a host"
	case protocol == protocolGRPC && u.Host == "" && u.Opaque == "" && u.Path == "":
		return "must name a host"
	}
	return ""
}
