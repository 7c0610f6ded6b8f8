// SPDX-License-Identifier: Apache-2.0

package discoveryfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-go/fairlead/discovery"
	"github.com/fairlead-go/fairlead/discovery/discoveryfile"
)

const text = `# registries
consul:
  address: https://consul.internal:8501
  ssl_verify: true
  wait: 5m
  port: 8501
  token: ""
etcd:
  endpoints:
    - https://10.0.0.1:2379
    - "https://10.0.0.2:2379"
  prefix: &p /fairlead
other: {prefix: *p, none: []}
namespace: prod
`

const asJSON = "{\n\t\"consul\": {\"address\": \"https:\\/\\/consul.internal:8501\", \"ssl_verify\": true, \"wait\": \"5m\",\n" +
	"\t\t\"port\": 8501, \"token\": \"\"},\n" +
	"\t\"etcd\": {\"endpoints\": [\"https://10.0.0.1:2379\",\t\"https://10.0.0.2:2379\"], \"prefix\": \"/fairlead\"},\r\n" +
	"\"other\": {\"prefix\": \"/fairlead\", \"none\": []}, \"namespace\":\n\"prod\"}"

// TestValues: what is in a file, as back ends take it, in YAML and in JSON.
func TestValues(t *testing.T) {
	type values = map[string]discovery.FileValue
	for _, tc := range []struct {
		name, text string
		want       map[string]values
	}{
		{"YAML", text, map[string]values{
			"consul": {
				"address": {Value: "https://consul.internal:8501", Line: 3, Column: 12}, "ssl_verify": {Value: "true", Line: 4, Column: 15},
				"wait": {Value: "5m", Line: 5, Column: 9}, "port": {Value: "8501", Line: 6, Column: 9}, "token": {Value: "", Line: 7, Column: 10},
			},
			"etcd":  {"endpoints": {Value: "https://10.0.0.1:2379,https://10.0.0.2:2379", Line: 10, Column: 5}, "prefix": {Value: "/fairlead", Line: 12, Column: 11}},
			"other": {"prefix": {Value: "/fairlead", Line: 12, Column: 11}, "none": {Value: "", Line: 13, Column: 27}},
			"":      {"namespace": {Value: "prod", Line: 14, Column: 12}},
		}},
		{"JSON", asJSON, map[string]values{
			"consul": {
				"address": {Value: "https://consul.internal:8501", Line: 2, Column: 24}, "ssl_verify": {Value: "true", Line: 2, Column: 72},
				"wait": {Value: "5m", Line: 2, Column: 86}, "port": {Value: "8501", Line: 3, Column: 11}, "token": {Value: "", Line: 3, Column: 26},
			},
			"etcd":  {"endpoints": {Value: "https://10.0.0.1:2379,https://10.0.0.2:2379", Line: 4, Column: 24}, "prefix": {Value: "/fairlead", Line: 4, Column: 86}},
			"other": {"prefix": {Value: "/fairlead", Line: 5, Column: 21}, "none": {Value: "", Line: 5, Column: 42}},
			"":      {"namespace": {Value: "prod", Line: 6, Column: 1}},
		}},
		{"nothing", "{}", map[string]values{}},
		{"an empty section", "consul: {}", map[string]values{"consul": {}}},
		{"escapes of JSON", `{"a": {"é": "\ud83d\ude00\/", "b": 1}}`, map[string]values{"a": {"é": {Value: "😀/", Line: 1, Column: 13}, "b": {Value: "1", Line: 1, Column: 36}}}},
		{"as it is written", "a: {b: 0x10, c: 1.50, d: yes, e: 2026-11-21, f: 1_000}", map[string]values{"a": {
			"b": {Value: "0x10", Line: 1, Column: 8}, "c": {Value: "1.50", Line: 1, Column: 17}, "d": {Value: "yes", Line: 1, Column: 26},
			"e": {Value: "2026-11-21", Line: 1, Column: 34}, "f": {Value: "1_000", Line: 1, Column: 49},
		}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := discoveryfile.Parse("registry.yaml", []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]values{}
			for _, name := range f.Sections() {
				got[name] = f.Section(name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := f.Err(); err != nil || f.Name() != "registry.yaml" {
				t.Errorf("%s: %v", f.Name(), err)
			}
		})
	}
}

// TestErrors: each thing that is wrong is told, all at once, where it is.
func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"f:1:1: must not be empty: a file that says nothing is {}"}},
		{"a comment", "# nothing\n", []string{"f:1:1: must not be empty: a file that says nothing is {}"}},
		{"not a mapping", "- a\n", []string{"f:1:1: must be a mapping of names to values"}},
		{"null", "null", []string{"f:1:1: must be a mapping of names to values"}},
		{"not YAML", "a:\n\tb: 1\n", []string{"f:2:1: must be YAML or JSON: found character that cannot start any token"}},
		{"two documents", "a: {}\n---\nb: {}\n", []string{"f:2:1: must be one document"}},
		{"twice", "consul:\n  address: a\n  address: b\nconsul: {}\n", []string{
			"f:3:3: consul.address: must be there once, and is at 2:3 already", "f:4:1: consul: must be there once, and is at 1:1 already",
		}},
		{"twice in JSON", `{"a": {"b": 1, "b": 2}}`, []string{"f:1:16: a.b: must be there once, and is at 1:8 already"}},
		{"no value", "consul:\n  address:\n  wait: ~\nb:\n", []string{
			`f:2:11: consul.address: must have a value: what is to be empty is ""`, `f:3:9: consul.wait: must have a value: what is to be empty is ""`,
			`f:4:3: b: must have a value: what is to be empty is ""`,
		}},
		{"too deep", "consul:\n  tls:\n    ca: x\n", []string{"f:3:5: consul.tls: must be a single value or a list of them"}},
		{"lists", "etcd:\n  endpoints: [a, [b], {c: d}, ~, 'e,f']\n", []string{
			"f:2:18: etcd.endpoints: must be a list of single values", "f:2:23: etcd.endpoints: must be a list of single values",
			`f:2:31: etcd.endpoints: must have a value: what is to be empty is ""`, "f:2:34: etcd.endpoints: must not have a comma in an element of a list",
		}},
		{"keys", "? {a: b}\n: c\n'': d\n~: e\n", []string{"f:1:3: must have names as keys", "f:3:1: must have names as keys", "f:4:1: must have names as keys"}},
		{"merge keys", "a: &a {b: c}\nd:\n  <<: *a\n", []string{"f:3:3: d: must not have merge keys"}},
		{"tags", "a: {b: !!binary AAAA, c: !secret d}", []string{"f:1:8: a.b: must be text, a number, true or false, without a tag", "f:1:26: a.c: must be text, a number, true or false, without a tag"}},
		{"an alias of itself", "a: &a {b: *a, c: &c [*c]}", []string{"f:1:4: a.b: must be a single value or a list of them", "f:1:18: a.c: must be a list of single values"}},
		{"too long", strings.Repeat("a", discoveryfile.MaxBytes+1), []string{"f:1:1: must have at most 65536 bytes"}},
		{"too many", "a: &a [" + strings.Repeat("x,", 1500) + "]\nb: *a\n", []string{"f:1:1004: must have at most 2000 values, with those that aliases repeat"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := discoveryfile.Parse("f", []byte(tc.text))
			if err == nil || f != nil {
				t.Fatal("no error, or a file in spite of it")
			}
			if diff := cmp.Diff(strings.Join(tc.want, "\n"), err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if e, ok := errors.AsType[*discoveryfile.Error](err); !ok || e.File != "f" || e.Rule == "" {
				t.Errorf("%#v", err)
			}
		})
	}
}

// TestNoSecrets: whatever is wrong with a value, it is not shown.
func TestNoSecrets(t *testing.T) {
	for _, text := range []string{
		"a: {token: [hunter2, 'hunter2,hunter2']}", "a: {token: !x hunter2}", "a: {token: {hunter2: hunter2}}", "a: {token: [[hunter2]]}",
	} {
		if _, err := discoveryfile.Parse("f", []byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSections: those that nobody asks for are told.
func TestSections(t *testing.T) {
	f, err := discoveryfile.Parse("registry.yaml", []byte("namespace: prod\ncosul:\n  address: a\netcd: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Section("consul"); got == nil || len(got) != 0 {
		t.Errorf("a section that is not there: %v", got)
	}
	f.Section("etcd")
	want := "registry.yaml:1:1: nobody asks for a setting outside of a section: there may be consul, etcd\nregistry.yaml:2:1: cosul: no such section: there may be consul, etcd"
	if err := f.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	f.Section("etcd")["x"] = discovery.FileValue{}
	if len(f.Section("etcd")) != 0 {
		t.Error("the section that was handed out is the file's own")
	}
}

// TestSettings: with the settings of a back end, whose errors say where a value is.
func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.yaml")
	if err := os.WriteFile(path, []byte("consul:\n  address: 10.0.0.1:8500\n  wait: 5\n  tken: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := discoveryfile.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	s := discovery.NewSettings(func(name string) (string, bool) { return "from the environment", name == "CONSUL_DATACENTER" })
	f.Use(s, "consul")
	if got := s.String("address", "127.0.0.1:8500", "CONSUL_HTTP_ADDR"); got != "10.0.0.1:8500" {
		t.Errorf("address %s", got)
	}
	s.Duration("wait", 0)
	want := "discovery: wait \"5\": must be a duration such as \"1.5s\" (from " + path + ":3:9)\ndiscovery: " + path + `:4:9: "tken": no such setting`
	if err := s.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := discoveryfile.Read(path + ".missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := discoveryfile.Read(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
}
