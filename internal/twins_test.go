// SPDX-License-Identifier: Apache-2.0

package internal_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// oneSided are the files that one adapter has and the other has not, with the
// reason. All others have a twin of the same name: same concern, other transport.
var oneSided = map[string]string{
	"interceptors/connect.go":      "a gRPC connection is waited for; an HTTP client has a pool",
	"interceptors/grpcattempts.go": "gRPC retries by itself, below the interceptors",
	"interceptors/otel.go":         "the second engine; otelhttp is a handler that wraps ours as it is",
	"interceptors/receive.go":      "as for retrystream.go",
	"interceptors/retrystream.go":  "a stream goes on being sent to while it is retried; an HTTP request has a body",
	"interceptors/stream.go":       "messages of a stream are counted one by one",
	"httpmw/accept.go":             "content negotiation for error pages; gRPC has one form of error",
	"httpmw/body.go":               "a request ends with its body, after the call has returned",
	"httpmw/problem.go":            "RFC 9457; gRPC's errors have details of their own",
	"httpmw/problem_parse.go":      "as for problem.go",
	"httpmw/redirect.go":           "gRPC has no redirects",
	"httpmw/route.go":              "a route is matched after the middleware; gRPC's method is known before",
}

// checkTwins compares the files of two adapters.
func checkTwins(a string, aFiles []string, b string, bFiles []string, oneSided map[string]string) []string {
	var bad []string
	compare := func(dir string, files []string, other string, others []string) {
		for _, f := range files {
			path := dir + "/" + f
			switch alone, reason := !slices.Contains(others, f), oneSided[path]; {
			case alone && reason == "":
				bad = append(bad, path+" has no twin in "+other+": give it one, or say why not")
			case !alone && reason != "":
				bad = append(bad, path+" has a twin in "+other+", and is said to have none")
			}
		}
	}
	compare(a, aFiles, b, bFiles)
	compare(b, bFiles, a, aFiles)
	for path := range oneSided {
		dir, f, _ := strings.Cut(path, "/")
		if dir == a && !slices.Contains(aFiles, f) || dir == b && !slices.Contains(bFiles, f) {
			bad = append(bad, path+" is said to have no twin, and is not there")
		}
	}
	slices.Sort(bad)
	return bad
}

func TestTwins(t *testing.T) {
	report(t, checkTwins("interceptors", goFiles(t, "interceptors"), "httpmw", goFiles(t, "httpmw"), oneSided))
}

// goFiles returns the files of a folder of the root, without tests.
func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir("../" + dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") {
			files = append(files, n)
		}
	}
	return files
}
