// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

// checkMethods returns what is wrong with the names of methods.
func checkMethods(names []string) faults {
	var f faults
	var patterns []string // those that are right
	for _, name := range names {
		rule := checkGRPC(name)
		if !strings.HasPrefix(name, "/") {
			if rule = checkPattern(name); rule == "" {
				rule = checkOverlap(name, patterns)
				patterns = append(patterns, name)
			}
		}
		if rule != "" {
			f = append(f, faultOf(name, "must "+rule))
		}
	}
	return f
}

const nameForms = `be a gRPC method such as "/pkg.Service/Method", all methods of a gRPC service such as "/pkg.Service/", or an HTTP pattern such as "POST /charges/{id}"`

// checkGRPC returns the rule that the name of a gRPC method, or of all methods of a
// gRPC service, breaks.
func checkGRPC(name string) string {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok || service == "" || strings.Contains(method, "/") || strings.ContainsAny(name, " {}*?#%") || strings.ContainsFunc(name, unicode.IsControl) {
		return nameForms
	}
	return ""
}

// checkPattern returns the rule that an HTTP pattern breaks.
func checkPattern(name string) string {
	method, path, ok := strings.Cut(name, " ")
	switch {
	case !ok || strings.ContainsFunc(name, unicode.IsControl):
		return nameForms
	case method == "" || method != strings.ToUpper(method):
		return "begin with an HTTP method in upper case: methods are case-sensitive"
	case !strings.HasPrefix(path, "/"):
		return "have one space and a path that begins with a slash after the HTTP method, and no host: the service is it"
	}
	if problem := register(name); problem != "" {
		_, what, _ := strings.Cut(problem, ": at ") // parsing "…": at offset 5: …
		return "be a pattern that http.ServeMux takes: at " + what
	}
	return ""
}

// checkOverlap returns the rule that an HTTP pattern breaks together with others.
func checkOverlap(name string, others []string) string {
	for _, other := range others {
		if register(other, name) != "" {
			return fmt.Sprintf("not match the same requests as %q, or be more specific", other)
		}
	}
	return ""
}

// register returns why a ServeMux refuses patterns, and nothing if it takes them.
func register(patterns ...string) (problem string) {
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprint(r)
		}
	}()
	mux := http.NewServeMux()
	for _, p := range patterns {
		mux.Handle(p, http.NotFoundHandler())
	}
	return ""
}
