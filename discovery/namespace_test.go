// SPDX-License-Identifier: Apache-2.0

package discovery_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-go/fairlead/discovery"
)

func TestNamespaceSyntax(t *testing.T) {
	for _, ok := range []discovery.Namespace{"prod", "prod2", "p", "0", "staging-eu-1", discovery.Namespace(strings.Repeat("a", 63)), discovery.DefaultNamespace} {
		if err := ok.Validate(); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []discovery.Namespace{
		"", "Prod", "prod/", "/prod", "prod/x", "..", ".", "prod.", "prod_x", "-prod", "prod-", " prod", "prod ", "prod\x00", "prod\n", "pröd",
		"prоd" /* a Cyrillic o */, "ｐrod", "prod\u200b", "prod*", "prod%2f", "prod\\x", discovery.Namespace(strings.Repeat("a", 64)), "\xff",
	} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("namespace %q", string(bad))) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestNamespaceFromEnv(t *testing.T) {
	for _, tc := range []struct {
		name, attributes string
		want             discovery.Namespace
		source, err      string
	}{
		{"nothing", "", "dev", "default", ""},
		{"others", "service.name=order,deployment.environment.names=x", "dev", "default", ""},
		{"stated", "service.name=order, deployment.environment.name = prod ", "prod", "OTEL_RESOURCE_ATTRIBUTES deployment.environment.name", ""},
		{"old name", "deployment.environment=staging", "staging", "OTEL_RESOURCE_ATTRIBUTES deployment.environment", ""},
		{"both", "deployment.environment=staging,deployment.environment.name=prod", "prod", "OTEL_RESOURCE_ATTRIBUTES deployment.environment.name", ""},
		{"twice", "deployment.environment.name=a,deployment.environment.name=b", "b", "OTEL_RESOURCE_ATTRIBUTES deployment.environment.name", ""},
		{"misspelt", "deployment.environment.name=Prod", "", "OTEL_RESOURCE_ATTRIBUTES deployment.environment.name", "must be of a-z, 0-9 and - (from OTEL_RESOURCE_ATTRIBUTES"},
		{"empty", "deployment.environment.name=", "", "OTEL_RESOURCE_ATTRIBUTES deployment.environment.name", "must not be empty"},
	} {
		got, s, err := discovery.NamespaceFromEnv(func(name string) (string, bool) {
			return tc.attributes, name == "OTEL_RESOURCE_ATTRIBUTES" && tc.attributes != ""
		})
		if got != tc.want || s.Source != tc.source || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: got %q from %q, %v", tc.name, got, s.Source, err)
		}
	}
}

// FuzzKey: a key that is valid has one text, no valid key's text begins with the
// prefix of another query, and nothing else is taken for a key.
func FuzzKey(f *testing.F) {
	f.Add("prod", "order", "order@10.0.0.1:80", "prod2", "order")
	f.Add("prod", "order", "a", "prod", "order2")
	f.Add("..", "order/x", "a//b", "prod", "")
	f.Fuzz(func(t *testing.T, namespace, service, id, otherNamespace, otherService string) {
		k := discovery.Key{Namespace: discovery.Namespace(namespace), Service: service, ID: id}
		parsed, err := discovery.ParseKey(k.String())
		if k.Validate() != nil {
			if err == nil && parsed == k {
				t.Fatalf("%q is invalid, and was parsed", k)
			}
			return
		}
		if err != nil || parsed != k {
			t.Fatalf("%q became %q, %v", k, parsed, err)
		}
		other := discovery.Query{Namespace: discovery.Namespace(otherNamespace), Service: otherService}
		if other.Validate() == nil && strings.HasPrefix(k.String(), other.String()+"/") != (k.Query() == other) {
			t.Fatalf("the prefix of %s finds %s", other, k)
		}
		if strings.Contains(k.String(), "..") || strings.Count(k.String(), "/") != 2 {
			t.Fatalf("%q can be taken for a path", k)
		}
	})
}

func ExampleNamespaceFromEnv() {
	env := map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "service.version=1.2,deployment.environment.name=staging"}
	_, setting, err := discovery.NamespaceFromEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	fmt.Println(setting, err)
	// Output:
	// namespace = staging (OTEL_RESOURCE_ATTRIBUTES deployment.environment.name) <nil>
}

func TestZoneFromEnv(t *testing.T) {
	for _, tc := range []struct{ attributes, want, source string }{
		{"", "", "default"},
		{"cloud.availability_zone=eu-1a,deployment.environment.name=prod", "eu-1a", "OTEL_RESOURCE_ATTRIBUTES cloud.availability_zone"},
		{"cloud.region=eu", "", "default"},
	} {
		got, s := discovery.ZoneFromEnv(func(name string) (string, bool) {
			return tc.attributes, name == "OTEL_RESOURCE_ATTRIBUTES" && tc.attributes != ""
		})
		if got != tc.want || s.Value != tc.want || s.Source != tc.source {
			t.Errorf("%q: got %q, %+v", tc.attributes, got, s)
		}
	}
}
