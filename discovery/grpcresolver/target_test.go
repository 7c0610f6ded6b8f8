// SPDX-License-Identifier: Apache-2.0

package grpcresolver_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/resolver"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/grpcresolver"
)

func TestTargets(t *testing.T) {
	orders := discovery.Query{Namespace: prod, Service: "order"}
	for _, tc := range []struct {
		target string
		want   grpcresolver.Parsed
	}{
		{"consul:///order", grpcresolver.Parsed{Query: orders}},
		{"consul:///order?", grpcresolver.Parsed{Query: orders}},
		{"consul:///order?ns=prod", grpcresolver.Parsed{Query: orders}},
		{"consul:///order?tag=b&tag=a&tag=b", grpcresolver.Parsed{Query: orders, Tags: []string{"a", "b"}}},
		{"consul:///order?zone=eu-west-1a&ns=prod&tag=v2%2Ex", grpcresolver.Parsed{Query: orders, Tags: []string{"v2.x"}, Zone: "eu-west-1a"}},
		{"consul:///team.order_v2-x", grpcresolver.Parsed{Query: discovery.Query{Namespace: prod, Service: "team.order_v2-x"}}},
	} {
		t.Run(tc.target, func(t *testing.T) {
			got, err := grpcresolver.ParseTarget(must[*url.URL](t)(url.Parse(tc.target)), prod)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("error %v, and (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestBadTargets: nothing is guessed, and the error says what is wrong.
func TestBadTargets(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct{ target, want string }{
		{"memory:order", "must be of the form memory:///service"},
		{"memory://order", "must have no authority"},
		{"memory://order/", "must have no authority"},
		{"memory://127.0.0.1:8500/order", "must have no authority"},
		{"memory://u:secret@/order", "must have no authority"},
		{"memory:///", `service "": must not be empty`},
		{"memory://", "must be of the form memory:///service"},
		{"memory:///order/", `service "order/"`},
		{"memory:///a/b", `service "a/b"`},
		{"memory:///..", `service ".."`},
		{"memory:////order", `service "/order"`},
		{"memory:///%6frder", "must have no percent-encoding"},
		{"memory:///order#x", "must have no fragment"},
		{"memory:///order?ns=prod&ns=prod", `parameter "ns": must be there once, and has 2 values: ["prod" "prod"]`},
		{"memory:///order?ns=", `parameter "ns": must not be empty`},
		{"memory:///order?ns=Prod", `namespace "Prod": must be of a-z`},
		{"memory:///order?zone=a&zone=b", `parameter "zone": must be there once`},
		{"memory:///order?zone=", `parameter "zone": must not be empty`},
		{"memory:///order?tag=", `parameter "tag": must not be empty`},
		{"memory:///order?tag=a%20b", `tag "a b": must be`},
		{"memory:///order?tags=a", `parameter "tags": must be one of ns, tag and zone`},
		{"memory:///order?a=1;b=2", "parameters: invalid semicolon separator"},
		{"memory:///order?tag=%zz", "parameters: invalid URL escape"},
		{"memory:///order?ns=&zone=&tag=&x=1", `parameter "ns": must not be empty: leave it out` + "\n" + `parameter "zone": must not be empty: leave it out` + "\n" + `parameter "tag": must not be empty: leave it out` + "\n" + `parameter "x": must be one of ns, tag and zone`},
	} {
		t.Run(tc.target, func(t *testing.T) {
			var c channel
			r, err := w.builder().Build(targetOf(t, tc.target), &c, resolver.BuildOptions{})
			if err == nil {
				r.Close()
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), "grpcresolver: target ") || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q, want one that contains %q", err, tc.want)
			}
		})
	}
	if n := len(w.watcher.Status()); n > 0 {
		t.Errorf("%d services are watched", n)
	}
}

// TestForeignNamespace: another environment than the process's is never asked about.
func TestForeignNamespace(t *testing.T) {
	w := newWorld(t)
	for _, ns := range []string{"prod2", "pro", "dev", "prod-eu"} {
		_, err := w.builder().Build(targetOf(t, "memory:///order?ns="+ns), &channel{}, resolver.BuildOptions{})
		if !errors.Is(err, discovery.ErrForeignNamespace) {
			t.Errorf("ns=%s: error %v, want ErrForeignNamespace", ns, err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"consul:///order", "consul:///order?ns=prod&tag=a&tag=b&zone=eu-1", "consul://order", "consul:order", "consul:///%2e%2e",
		"consul:///order?ns=prod2", "consul:///order?tag=a;zone=b", "consul:///a/b?#f", "consul:///order?ns=prod&ns=dev", "consul:///\u00f6rder",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		got, err := grpcresolver.ParseTarget(u, prod)
		if err != nil {
			if diff := cmp.Diff(grpcresolver.Parsed{}, got); diff != "" {
				t.Fatalf("%q: an error, and a result: %s", s, diff)
			}
			return
		}
		if err := got.Query.Validate(); err != nil || got.Query.Namespace != prod {
			t.Fatalf("%q: query %s: %v", s, got.Query, err)
		}
		if !slices.IsSorted(got.Tags) || len(slices.Compact(slices.Clone(got.Tags))) != len(got.Tags) || slices.Contains(got.Tags, "") {
			t.Fatalf("%q: tags %q", s, got.Tags)
		}
		if u.Host != "" || u.User != nil || u.Path != "/"+got.Query.Service {
			t.Fatalf("%q: something of it was ignored: %#v", s, u)
		}
		for key, values := range u.Query() {
			if len(values) != 1 && key != "tag" || !slices.Contains([]string{"ns", "tag", "zone"}, key) {
				t.Fatalf("%q: parameter %q with %q", s, key, values)
			}
		}
		// What was understood, written down, is understood as the same.
		params := url.Values{"ns": {string(got.Query.Namespace)}, "tag": got.Tags}
		if got.Zone != "" {
			params.Set("zone", got.Zone)
		}
		again, err := grpcresolver.ParseTarget(&url.URL{Scheme: u.Scheme, Path: "/" + got.Query.Service, RawQuery: params.Encode()}, prod)
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Fatalf("%q: error %v, and (-first +again):\n%s", s, err, diff)
		}
	})
}
