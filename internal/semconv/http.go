// SPDX-License-Identifier: Apache-2.0

package semconv

import (
	"os"
	"strings"
)

// KnownMethodsEnv is the environment variable that replaces the list of known
// HTTP methods: comma-separated, case-sensitive.
const KnownMethodsEnv = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"

// defaultMethods are those of RFC 9110, PATCH (RFC 5789) and QUERY.
var defaultMethods = []string{
	"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
}

// HTTPMethods is the set of HTTP methods that may be an http.request.method. The
// zero value knows none. It is read only and safe for concurrent use.
type HTTPMethods struct{ known map[string]string }

// NewHTTPMethods returns the set of exactly these methods, or the default set if
// there are none.
func NewHTTPMethods(methods ...string) HTTPMethods {
	if len(methods) == 0 {
		methods = defaultMethods
	}
	known := make(map[string]string, len(methods)+1)
	for _, m := range methods {
		known[m] = m
	}
	if _, ok := known["GET"]; ok {
		known[""] = "GET" // http.Request: for client requests "" means GET
	}
	return HTTPMethods{known: known}
}

// HTTPMethodsFromEnv returns the set that OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS
// asks for, or the default set.
func HTTPMethodsFromEnv() HTTPMethods {
	var methods []string
	for m := range strings.SplitSeq(os.Getenv(KnownMethodsEnv), ",") {
		if m = strings.TrimSpace(m); m != "" {
			methods = append(methods, m)
		}
	}
	return NewHTTPMethods(methods...)
}

// Name returns the http.request.method for method: itself if it is known,
// otherwise [Other]; then http.request.method_original has to say what it was.
// It costs no allocation and keeps nothing of a peer's string.
func (h HTTPMethods) Name(method string) string {
	if name, ok := h.known[method]; ok {
		return name
	}
	return Other
}

// Len returns how many values Name can return, [Other] among them.
func (h HTTPMethods) Len() int {
	n := len(h.known) + 1
	if _, ok := h.known[""]; ok {
		n--
	}
	return n
}

// HTTPSpanName returns the name of an HTTP span: method and route, the method
// alone without a route, and "HTTP" in place of a method that is [Other].
func HTTPSpanName(method, route string) string {
	if method == Other {
		method = "HTTP"
	}
	if route == "" {
		return method
	}
	return method + " " + route
}

// HTTPRoute returns the http.route of a pattern of http.ServeMux, which may have
// a method and a host in front: "GET example.com/orders/{id}" is "/orders/{id}".
// A pattern without a slash has no route.
func HTTPRoute(pattern string) string {
	i := strings.IndexByte(pattern, '/')
	if i < 0 {
		return ""
	}
	return pattern[i:]
}

// HTTPErrorType returns the error.type that an HTTP status alone gives: the
// number for 5xx on a server, for 4xx and 5xx on a client, otherwise "".
func HTTPErrorType(server bool, status int) string {
	if status < 400 || status > 599 || server && status < 500 {
		return ""
	}
	return statusText[status-400]
}

// statusText holds "400" to "599", so that an error costs no formatting.
var statusText = func() (t [200]string) {
	for i := range t {
		n := 400 + i
		t[i] = string([]byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)})
	}
	return t
}()
