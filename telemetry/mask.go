// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"net/url"
	"strings"
)

const masked = "***"

// mask hides the secrets in the value of a variable: what headers hold, and
// passwords in URLs.
func mask(name, value string) string {
	switch {
	case value == "":
		return ""
	case strings.HasSuffix(name, "_HEADERS"):
		return maskHeaders(value)
	case strings.HasSuffix(name, "_ENDPOINT"):
		return maskURL(value)
	}
	return value
}

func maskHeaders(value string) string {
	pairs := strings.Split(value, ",")
	for i, pair := range pairs {
		key, _, found := strings.Cut(pair, "=")
		if pairs[i] = masked; found { // without a key all of it may be a secret
			pairs[i] = strings.TrimSpace(key) + "=" + masked
		}
	}
	return strings.Join(pairs, ",")
}

func maskURL(value string) string {
	scheme, rest, found := strings.Cut(value, "://")
	if !found {
		scheme, rest = "", value
	}
	if u, err := url.Parse(value); err == nil && u.User == nil && u.RawQuery == "" {
		return value
	}
	// A URL that does not parse may have its password in the wrong place.
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		rest = masked + rest[i:]
	}
	if i := strings.Index(rest, "?"); i >= 0 {
		rest = rest[:i] + "?" + masked
	}
	if found {
		scheme += "://"
	}
	return scheme + rest
}
