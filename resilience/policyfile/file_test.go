// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-go/fairlead/resilience"
	"github.com/fairlead-go/fairlead/resilience/bulkhead"
	"github.com/fairlead-go/fairlead/resilience/policies"
	"github.com/fairlead-go/fairlead/resilience/policyfile"
	"github.com/fairlead-go/fairlead/resilience/ratelimit"
	"github.com/fairlead-go/fairlead/resilience/retry"
)

var update = flag.Bool("update", false, "write the golden files")

// All errors of a file, in the order of their positions.
func TestBadFiles(t *testing.T) {
	for _, name := range []string{"bad_values", "bad_shape"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".yaml")
			opts, err := policyfile.ReadFile(path)
			if err == nil || opts != nil {
				t.Fatalf("got %d options and error %v", len(opts), err)
			}
			got := strings.ReplaceAll(err.Error(), path, name+".yaml") + "\n"
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsSayWhere(t *testing.T) {
	_, err := policyfile.Parse([]byte("services:\n  payment:\n    retry:\n      max_attempts: 0\n"))
	got, ok := errors.AsType[*policyfile.Error](err)
	want := &policyfile.Error{
		File: "policyfile", Line: 4, Column: 21, Field: "services.payment.retry.max_attempts", Value: "0",
		Rule: "must be at least 1, which is the first attempt",
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// What is wrong only together with what another layer says.
func TestLayersThatDoNotGoTogether(t *testing.T) {
	for _, tc := range []struct{ name, file, want string }{
		{
			"the service makes the defaults wrong",
			"defaults: {retry: {per_try_timeout: 2s}}\nservices:\n  a:\n    retry: {overall_timeout: 1s}",
			"policyfile:4:12: services.a.retry: per-try timeout 2s: must be shorter than the overall timeout, 1s",
		}, {
			"the defaults make the service wrong",
			"defaults: {retry: {overall_timeout: 1s}}\nservices:\n  a:\n    retry: {per_try_timeout: 2s}",
			"policyfile:4:30: services.a.retry.per_try_timeout 2s: must be shorter than the overall timeout, 1s",
		}, {
			"the service makes a method of the defaults wrong",
			"defaults: {methods: {/a/b: {retry: {per_try_timeout: 2s}}}}\nservices:\n  a:\n    retry: {overall_timeout: 1s}",
			`policyfile:4:12: services.a.retry: method "/a/b": per-try timeout 2s: must be shorter than the overall timeout, 1s`,
		}, {
			"a service without a word of its own",
			"defaults: {methods: {'GET /a/{x}': }}\nservices:\n  a: {methods: {'GET /{y}/b': }}",
			`policyfile:3:17: services.a.methods["GET /{y}/b"]: must not match the same requests as "GET /a/{x}", or be more specific`,
		}, {
			"a policy's own default",
			"server:\n  shed: {min_limit: 50}",
			"policyfile:2:9: server.shed: initial limit 20: must be from the min limit, 50, to the max limit, 1000",
		}, {
			"not for want of what cannot be read",
			"server:\n  shed: {min_limit: 50, initial_limit: sixty}",
			"policyfile:2:40: server.shed.initial_limit sixty: must be a whole number such as 3",
		}, {
			"not for want of what cannot be read inside it",
			"server:\n  shed: {min_limit: 50, cpu: {target: high}}",
			"policyfile:2:39: server.shed.cpu.target high: must be a number such as 0.5",
		}, {
			"not for want of what cannot be read elsewhere",
			"defaults: {retry: {per_try_timeout: 2s}}\nservices:\n  a:\n    retry: {overall_timeout: 1s, per_try_timeout: half}",
			"policyfile:4:51: services.a.retry.per_try_timeout half: must be a duration with its unit, such as 200ms or 1m30s",
		}, {
			"too many services",
			"max_services: 1\nservices: {a: , b: }",
			"policyfile:1:15: max_services 1: must be at least 1, and have room for the 2 that have options of their own",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := policyfile.Parse([]byte(tc.file)); text(err) != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// What a file as a whole must be.
func TestWholeFile(t *testing.T) {
	const empty = "policyfile:1:1: must not be empty: a file that says nothing is {}"
	for _, tc := range []struct{ name, file, want string }{
		{"empty", "", empty},
		{"comments alone", "# nothing yet\n", empty},
		{"says nothing", "{}", ""},
		{"sections that say nothing", "defaults:\nservices:\nserver:\n", ""},
		{"null", "null", "policyfile:1:1: must be a mapping"},
		{"a list", "[]", "policyfile:1:1: must be a mapping"},
		{"two documents", "defaults: {}\n---\nserver: {}\n", "policyfile:2:1: must be one document"},
		{"an empty second document", "defaults: {}\n---\n", "policyfile:2:1: must be one document"},
		{"a second document that is none", "defaults: {}\n---\n\tx", "policyfile:3:1: must be YAML or JSON: found character that cannot start any token"},
		{"no YAML", "defaults: {}\nserver: [", "policyfile:2:1: must be YAML or JSON: did not find expected node content"},
		{"no UTF-8", "defaults: \xff", "policyfile:1:1: must be YAML or JSON: invalid leading UTF-8 octet"},
		{"an anchor of nothing", "defaults: *a", "policyfile:1:1: must be YAML or JSON: unknown anchor 'a' referenced"},
		{"a merge key", "defaults: &a {retry: off}\nservices: {a: {<<: *a}}", `policyfile:2:16: services.a["<<"]: unknown key: must be one of retry, hedge, budget, breaker, rate_limit, bulkhead, methods`},
		{"an alias of what it is in", "defaults: &a {methods: {/a/b: *a}}", "policyfile:1:15: defaults.methods[\"/a/b\"].methods: unknown key: must be one of retry, hedge"},
		{"an alias", "defaults: &a {retry: off, budget: &b {floor: 5}}\nservices: {x: *a, y: {budget: *b}}", ""},
		{"another type by tag", "defaults: {retry: {max_attempts: !!str 3}}", "policyfile:1:34: defaults.retry.max_attempts 3: must be a whole number such as 3"},
		{"a type that is none by tag", "defaults: {breaker: {jitter: !!float x}}", "policyfile:1:30: defaults.breaker.jitter x: must be a number such as 0.5"},
		{"as long as it may be", "{}" + strings.Repeat("\n", policyfile.MaxBytes-2), ""},
		{"too long", "{}" + strings.Repeat("\n", policyfile.MaxBytes-1), "policyfile:1:1: 262145 bytes: must be at most 262144"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := policyfile.Parse([]byte(tc.file)); text(err) != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// A short file must not come to much.
func TestIsBounded(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("defaults:\n  methods: &a\n")
	for i := range 500 {
		bomb.WriteString(fmt.Sprintf("    /a/b%d: {retry: {max_attempts: 2}}\n", i))
	}
	bomb.WriteString("services:\n")
	for i := range 500 {
		bomb.WriteString(fmt.Sprintf("  s%d: {methods: *a}\n", i))
	}
	var many strings.Builder
	many.WriteString("defaults: {methods: {")
	for i := range 101 {
		many.WriteString(fmt.Sprintf("/a/b%d: , ", i))
	}
	many.WriteString("}}\nservices: {")
	for i := range 100 {
		many.WriteString(fmt.Sprintf("s%d: , ", i))
	}
	many.WriteString("}\n")
	for _, tc := range []struct{ name, file, want string }{
		{"aliases", bomb.String(), "must have at most 20000 values, with those that aliases repeat"},
		{"methods", many.String(), "policyfile:1:1: 10201 methods: must be at most 10000 over all services, with those of the defaults"},
		{"depth", strings.Repeat("[", 20_000), "policyfile:1:1: must be YAML or JSON: exceeded max depth of 10000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := time.Now()
			if _, err := policyfile.Parse([]byte(tc.file)); !strings.Contains(text(err), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "policies.yaml")
	if _, err := policyfile.ReadFile(missing); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(text(err), "policyfile: ") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := policyfile.ReadFile(t.TempDir()); err == nil {
		t.Error("a directory: no error")
	}
	if err := os.WriteFile(missing, []byte(strings.Repeat("#", policyfile.MaxBytes+100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := policyfile.ReadFile(missing); text(err) != missing+":1:1: 262145 bytes: must be at most 262144" {
		t.Errorf("a file that is too long: %v", err)
	}
}

func build(t *testing.T, opts []policies.Option, err error) *policies.Set {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	set, err := policies.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func parse(t *testing.T, file string) *policies.Set {
	t.Helper()
	opts, err := policyfile.Parse([]byte(file))
	return build(t, opts, err)
}

func TestFullFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts, err := policyfile.ReadFile("testdata/full.yaml")
		set := build(t, opts, err)
		set.Service("order") // with the defaults
		got := set.Snapshot()
		for i := range got.Services {
			if b := got.Services[i].Breaker; (b == nil) != (got.Services[i].Name == "mail") {
				t.Errorf("%s: breaker %+v", got.Services[i].Name, b)
			}
			got.Services[i].Breaker = nil
		}
		if s := got.Server.Shed; s.Limit != 20 || !s.CPU.Enabled {
			t.Errorf("shed %+v", s)
		}
		got.Server.Shed = nil

		retried := policies.AttemptsSnapshot{Policy: resilience.PolicyRetry, MaxAttempts: 3, Estimate: 20 * time.Millisecond, Budget: 6}
		twice := retried
		twice.MaxAttempts = 2
		once := policies.AttemptsSnapshot{MaxAttempts: 1, Budget: -1}
		want := policies.Snapshot{
			MaxServices: 1000,
			Services: []policies.ServiceSnapshot{{
				Name: "inventory", Budget: 6, Attempts: retried,
				Methods: []policies.MethodSnapshot{{Method: "/shop.Inventory/", Attempts: twice}, {Method: "/shop.Inventory/Reserve", Attempts: once}},
			}, {
				Name: "mail", Budget: -1, Attempts: once,
			}, {
				Name: "order", Budget: 6, Attempts: retried,
			}, {
				Name: "payment", Budget: 6, Attempts: retried,
				RateLimit: &ratelimit.LimiterSnapshot{Name: "payment", Limit: 100, Burst: 20, Tokens: 20},
				Bulkhead:  &bulkhead.Snapshot{Name: "payment", Max: 50, MaxQueue: 100},
				Methods: []policies.MethodSnapshot{
					{Method: "GET /charges/{id}", Attempts: policies.AttemptsSnapshot{Policy: resilience.PolicyHedge, MaxAttempts: 2, Delay: 100 * time.Millisecond, Budget: -1}},
					{Method: "POST /charges", Attempts: once},
				},
			}, {
				Name: "search", Budget: 6, Attempts: policies.AttemptsSnapshot{Policy: resilience.PolicyHedge, MaxAttempts: 2, Delay: 50 * time.Millisecond, Budget: 6},
			}},
			Server: policies.ServerSnapshot{
				RateLimit:   &ratelimit.LimiterSnapshot{Name: "server", Limit: 500, Burst: 100, Tokens: 100},
				Concurrency: &ratelimit.ConcurrencySnapshot{Name: "server", Max: 200, MaxQueue: 100},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("snapshot (-want +got):\n%s", diff)
		}
	})
}

// The same file as JSON is the same.
func TestJSON(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	for _, indent := range []string{"", "  ", "\t"} {
		data, err := json.MarshalIndent(tree, "", indent)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			fromJSON, err := policyfile.Parse(data)
			fromYAML, err2 := policyfile.ReadFile("testdata/full.yaml")
			a, b := build(t, fromJSON, err).Snapshot(), build(t, fromYAML, err2).Snapshot()
			if diff := cmp.Diff(b, a); diff != "" {
				t.Errorf("indented by %q (-yaml +json):\n%s", indent, diff)
			}
		})
	}
	if _, err := policyfile.Parse([]byte(`{"defaults": {"retry": {"max_attempts": 0}}}`)); text(err) != "policyfile:1:41: defaults.retry.max_attempts 0: must be at least 1, which is the first attempt" {
		t.Errorf("got %v", err)
	}
}

// What switches is off, on, or the same in JSON.
func TestOnAndOff(t *testing.T) {
	for _, tc := range []struct {
		file               string
		retry, hedge, open bool // open: has no breaker
	}{
		{"{}", true, false, false},
		{"defaults: {retry: off, breaker: off}", false, false, true},
		{"defaults: {retry: false, breaker: false}", false, false, true},
		{"defaults: {retry: off, hedge: on}", false, true, false},
		{"defaults: {hedge: {}, retry: off}", false, true, false},
		{"defaults: {hedge: off}", false, false, false},
		{"defaults: {hedge: off, retry: on}", true, false, false},
		{"defaults: {hedge: true}", false, true, false},
		{"defaults: {hedge: on, breaker: off}\nservices: {a: {retry: on, breaker: {}}}", true, false, false},
		{"defaults: {hedge: on, breaker: off}\nservices: {a: {breaker: on}}", false, true, false},
		{`{"defaults": {"retry": "off", "breaker": "off"}}`, false, false, true},
		{"defaults: {methods: {/a/: {retry: off}, /a/b: {hedge: on}}}\nservices: {a: {methods: {/a/b: {retry: on}}}}", true, false, false},
	} {
		c := parse(t, tc.file).Service("a").Method("/a/b")
		if got := [...]bool{c.Retry != nil, c.Hedge != nil, c.Breaker == nil}; got != [...]bool{tc.retry, tc.hedge, tc.open} {
			t.Errorf("%s: retried, hedged, without breaker: %v", tc.file, got)
		}
	}
	server := parse(t, "server: {shed: on, concurrency: off, rate_limit: off}").Server()
	if server.Shed == nil || server.Concurrency != nil || server.RateLimit != nil {
		t.Errorf("server %+v", server)
	}
	if parse(t, "server: {shed: {cpu: off}}").Server().Shed.Snapshot().CPU.Enabled {
		t.Error("cpu: off has no effect")
	}
	if parse(t, "server: {shed: off}").Server().Shed != nil {
		t.Error("shed: off has no effect")
	}
}

// The keys that have no value which is refused: what they do.
func TestKeysWithoutBadValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nested := retry.WithPreviousAttempts(t.Context(), 1)
		fail := func(context.Context, retry.Attempt) retry.Result {
			return retry.Result{Outcome: resilience.OutcomeTransient, Err: errors.New("down")}
		}
		for file, want := range map[string]int{
			"{}":                              1,
			"defaults: {retry: {nested: on}}": 3,
			"defaults: {hedge: {delay: 1h}}":  1,
			"defaults: {hedge: {delay: 1h, nested: on}}": 2,
		} {
			if got := parse(t, file).Service("a").Client().Do(nested, fail).Attempts; got != want {
				t.Errorf("%s: %d attempts of a nested call, want %d", file, got, want)
			}
		}
		for _, file := range []string{"defaults: {retry: {budget: off}}", "defaults: {budget: off}"} {
			if b := parse(t, file).Service("a").Client().Retry.Budget(); b != nil {
				t.Errorf("%s: there is a budget", file)
			}
		}
		if b := parse(t, "defaults: {hedge: {budget: off}}").Service("a").Client().Hedge.Budget(); b != nil {
			t.Error("hedges have a budget")
		}

		for file, want := range map[string]time.Duration{
			"defaults: {rate_limit: {limit: 0.1, burst: 1}}":                0,
			"defaults: {rate_limit: {limit: 0.1, burst: 1, max_wait: 10s}}": 10 * time.Second,
			"defaults: {rate_limit: {limit: 0.1, burst: 1, max_wait: off}}": 10 * time.Second,
		} {
			l := parse(t, file).Service("a").Client().RateLimit
			start := time.Now()
			_ = l.Wait(t.Context())
			_ = l.Wait(t.Context())
			if took := time.Since(start); took != want {
				t.Errorf("%s: waited %v, want %v", file, took, want)
			}
		}

		off := parse(t, "defaults: {bulkhead: {max: 1, queue: {length: 5, wait: 1s}}}\nservices: {a: {bulkhead: {max: 2, queue: off}}}")
		if q := off.Service("a").Client().Bulkhead.Snapshot(); q.Max != 2 || q.MaxQueue != 0 {
			t.Errorf("bulkhead %+v, want no queue", q)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
