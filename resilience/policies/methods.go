// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
)

// checkMethods returns what is wrong with the names of methods.
func checkMethods(names []string) faults {
	var f faults
	mux := http.NewServeMux()
	for _, name := range names {
		rule := checkGRPC(name)
		if !strings.HasPrefix(name, "/") {
			rule = checkPattern(mux, name)
		}
		if rule != "" {
			f = append(f, fault{ofMethod: true, method: name, text: "must " + rule})
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

// checkPattern returns the rule that an HTTP pattern breaks by itself or together with
// those in mux.
func checkPattern(mux *http.ServeMux, name string) string {
	method, path, ok := strings.Cut(name, " ")
	switch {
	case !ok || strings.ContainsFunc(name, unicode.IsControl):
		return nameForms
	case method == "" || method != strings.ToUpper(method):
		return "begin with an HTTP method in upper case: methods are case-sensitive"
	case !strings.HasPrefix(path, "/"):
		return "have one space and a path that begins with a slash after the HTTP method, and no host: the service is it"
	}
	problem := register(mux, name)
	if problem == "" {
		return ""
	}
	if _, what, ok := strings.Cut(problem, "conflicts with pattern "); ok {
		if other, err := strconv.QuotedPrefix(what); err == nil {
			return "not match the same requests as " + other + ", or be more specific"
		}
	}
	if _, what, ok := strings.Cut(problem, ": at "); ok { // parsing "…": at offset 5: …
		problem = "at " + what
	}
	return "be a pattern that http.ServeMux takes: " + problem
}

// register puts a pattern into mux and returns why that refuses it, or nothing.
func register(mux *http.ServeMux, pattern string) (problem string) {
	defer func() {
		if r := recover(); r != nil {
			problem = fmt.Sprint(r)
		}
	}()
	mux.Handle(pattern, http.NotFoundHandler())
	return ""
}
