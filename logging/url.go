// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"errors"
	"net/url"
	"strings"
)

// redactedInURL replaces secrets in URLs, as the OTel conventions for url.full
// want it; brackets would be percent-encoded.
const redactedInURL = "REDACTED"

// URL returns u as a string with the user info and the values of sensitive
// query parameters replaced by REDACTED, the way of the OTel attribute
// url.full. Signatures of presigned URLs (sig, X-Amz-Signature, …) are
// sensitive here. A fragment that holds parameters is treated like a query.
// A nil u is "".
func (r *Redactor) URL(u *url.URL) string {
	if u == nil {
		return ""
	}
	if r == nil {
		return u.String()
	}
	c := *u
	if u.User != nil {
		c.User = url.User(redactedInURL)
		if _, has := u.User.Password(); has {
			c.User = url.UserPassword(redactedInURL, redactedInURL)
		}
	}
	c.RawQuery = r.Query(u.RawQuery)
	if strings.Contains(u.Fragment, "=") {
		c.Fragment, c.RawFragment = r.Query(u.Fragment), ""
	}
	return c.String()
}

// Query returns the query string raw with the values of sensitive parameters
// replaced by REDACTED. Order and encoding of the rest stay. It costs no
// allocation if nothing is replaced.
func (r *Redactor) Query(raw string) string {
	if r == nil || raw == "" {
		return raw
	}
	var out strings.Builder
	done := 0 // how much of raw is in out
	for start := 0; start < len(raw); {
		end := len(raw)
		if i := strings.IndexAny(raw[start:], "&;"); i >= 0 {
			end = start + i
		}
		key, value, _ := strings.Cut(raw[start:end], "=")
		if value != "" && r.sensitiveInQuery(key) {
			out.WriteString(raw[done : start+len(key)+1])
			out.WriteString(redactedInURL)
			done = end
		}
		start = end + 1
	}
	if done == 0 {
		return raw
	}
	out.WriteString(raw[done:])
	return out.String()
}

func (r *Redactor) sensitiveInQuery(key string) bool {
	if strings.ContainsAny(key, "%+") {
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
	}
	return judge(key, r.deniedInQuery, r.allowed) == sensitive
}

// redactURLError replaces the URL in text, the message of an error from
// net/http, which holds the query with everything in it.
func (r *Redactor) redactURLError(text string, err error) string {
	e, ok := errors.AsType[*url.Error](err)
	if !ok || e.URL == "" {
		return text
	}
	u, parseErr := url.Parse(e.URL)
	if parseErr != nil {
		if strings.ContainsAny(e.URL, "@?") {
			return strings.ReplaceAll(text, e.URL, Redacted)
		}
		return text
	}
	if shown := r.URL(u); shown != e.URL {
		return strings.ReplaceAll(text, e.URL, shown)
	}
	return text
}
